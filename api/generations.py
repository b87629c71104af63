"""Generations: starting, reading, cancelling and retrying them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, IdCursor, Page, PageLimit
from api.fields import credits_of, parse_id, us_moment
from api.idempotency import once
from api.ownership import acting_account, visible_account
from api.principal import EVERYONE, RUNNERS, Principal, Role
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.admission import Admitted, admit, retry_generation
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.generations import Figures, Generation, GenerationStatus, get_generation, list_generations, usage_numbers
from workers.positions import Place
from workers.requests import GenerationRequest
from workers.streams.terminal import Failure
from workers.tiers import Tier

OfAccount = Annotated[str | None, QueryParameter(name="account_id", max_length=40, schema_extra={"format": "uuid"})]


class GenerationBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to generate. `input` has either `prompt` or `messages`; what else it has are the model's options."""

    model: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """May be left out only with a session that has one."""
    input: dict[str, object]
    mode: Annotated[str, Meta(max_length=50)] | None = None
    """Null: the first mode of the model."""
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    stream: bool = True
    """Every generation can be streamed, whatever is said here; taken so that requests for other services fit."""
    cache: bool = False
    """An answer to the very same request of this account, up to a day old, is as good as a new one, and costs less."""
    session_id: UUID | None = None
    """The conversation that this goes on with; the input is then the user's new message."""
    client_transfer: bool = False
    """The caller would rather move media into the store itself; what it has not moved in time is moved for it."""
    account_id: UUID | None = None
    """On whose behalf; only users may leave it out."""

    def request(self) -> GenerationRequest:
        """Return the request as admission takes it."""
        return GenerationRequest(
            model=self.model,
            input=self.input,
            mode=self.mode,
            max_output_tokens=self.max_output_tokens,
            cache=self.cache,
            session_id=self.session_id,
            client_transfer=self.client_transfer,
        )


class AdmittedAnswer(Struct, frozen=True, kw_only=True):
    """A generation that was taken on."""

    id: UUID
    status: str
    account_id: UUID
    model: str
    frozen: str
    retry_of: UUID | None
    position: int | None
    """How many are before it in its queue; counted up to 1,000."""
    estimated_wait_s: int | None
    """How long that will probably take; null where nobody knows."""
    events_url: str
    cancel_url: str
    created_at: datetime


class Timings(Struct, frozen=True, kw_only=True):
    """When what happened, null for what has not; and how long it took, in milliseconds, once it has ended."""

    created_at: datetime
    started_at: datetime | None
    first_token_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    total_ms: float | None
    database_ms: float | None
    cache_read_ms: float | None
    credit_ms: float | None
    provider_ms: float | None
    cache_write_ms: float | None


class GenerationAnswer(Struct, frozen=True, kw_only=True):
    """A generation as it is now. `output`, `usage` and `cost` are null until it has ended, `output` also in lists."""

    id: UUID
    account_id: UUID
    status: str
    model: str
    mode: str
    partial: bool
    output: str | None
    artifacts: tuple[dict[str, Any], ...]
    structured: Any
    usage: dict[str, int] | None
    usage_estimated: bool
    cost: str | None
    shortfall: str | None
    frozen: str
    model_version: int
    price_version: int
    max_output_tokens: int
    finish_reason: str | None
    error: Failure | None
    provider_message: str | None
    """The provider's own words; for administrators and finance only."""
    attempts: int
    retry_of: UUID | None
    batch_id: UUID | None
    tier: str
    position: int | None
    """How many are before it in its queue, counted up to 1,000; null once it was taken up, and in lists."""
    estimated_wait_s: int | None
    events_url: str
    cancel_url: str
    created_at: datetime
    timings: Timings
    served_model: str | None
    """The model that served it: the one asked for, or a fallback."""
    served_provider: str | None
    """For administrators and finance only."""
    fallback_used: bool
    cache_hit: bool


@post("/v1/generations", status_code=202, opt={"roles": RUNNERS, "problems": (402, 404)})
async def create(data: JSONBody[GenerationBody], request: ApiRequest) -> Answer[AdmittedAnswer]:
    """Take on a generation: the most it can cost is frozen, and a worker starts it."""
    admitted = await admit(
        request.services.generations,
        acting_account(request.principal, data.account_id),
        data.request(),
        idempotency_key=request.idempotency_key,
        request_id=request.request_id,
    )
    return _answer_admission(admitted, request)


@get("/v1/generations/{generation_id:uuid}", opt={"roles": EVERYONE})
async def read(generation_id: FromPath[UUID], request: ApiRequest) -> Answer[GenerationAnswer]:
    """Return a generation as it is now."""
    scope = visible_account(request.principal, None)
    found = await get_generation(request.services.database, generation_id, account_id=scope)
    place = await place_of(found, request.services.generations)
    return Answer(generation_answer(found, request.principal, place))


@get("/v1/generations", opt={"roles": EVERYONE, "problems": (404,)})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: IdCursor = None, of_account: OfAccount = None
) -> Answer[Page[GenerationAnswer]]:
    """List generations, newest first: a user's own, or those of one account or of all."""
    account_id = None if of_account is None else parse_id(of_account, name="account_id")
    scope = visible_account(request.principal, account_id)
    page = await list_generations(request.services.database, account_id=scope, limit=limit, cursor=cursor)
    answers = [generation_answer(found, request.principal) for found in page.items]
    return Answer(Page(answers, page.next_cursor))


@post(
    "/v1/generations/{generation_id:uuid}/cancel",
    status_code=202,
    opt={"roles": RUNNERS, "also": (200,), "problems": (409,)},
)
async def cancel(generation_id: FromPath[UUID], request: ApiRequest) -> Answer[GenerationAnswer]:
    """Ask for a generation to be stopped: 202; one that has ended stays as it is: 200."""
    return await once(request, lambda _: ask_to_cancel(generation_id, request))


@post("/v1/generations/{generation_id:uuid}/retry", status_code=202, opt={"roles": RUNNERS, "problems": (402, 409)})
async def retry(generation_id: FromPath[UUID], request: ApiRequest) -> Answer[AdmittedAnswer]:
    """Ask again for what failed or was cancelled: a new generation, at today's price, linked by `retry_of`."""
    admitted = await retry_generation(
        request.services.generations,
        generation_id,
        account_id=visible_account(request.principal, None),
        idempotency_key=request.idempotency_key,
        request_id=request.request_id,
    )
    return _answer_admission(admitted, request)


async def ask_to_cancel(generation_id: UUID, request: ApiRequest) -> Answer[GenerationAnswer]:
    """Cancel, and say whether there was still something to cancel."""
    scope = visible_account(request.principal, None)
    before = await get_generation(request.services.database, generation_id, account_id=scope)
    found = await cancel_generation(request.services.generations, generation_id, account_id=scope)
    return Answer(generation_answer(found, request.principal), status=200 if before.status.is_terminal else 202)


async def place_of(found: Generation, context: GenerationContext) -> Place | None:
    """Return where a generation stands in its queue; None once it was taken up."""
    if found.status is not GenerationStatus.queued:
        return None
    return await context.places.of(found.id, account_id=found.account_id)


def _answer_admission(admitted: Admitted, request: ApiRequest) -> Answer[AdmittedAnswer]:
    """Answer an admission, and a repeated one with the same bytes, however far the generation has come since."""
    request.services.generation_owners.remember(admitted.generation.id, admitted.generation.account_id)
    return Answer(admitted_view(admitted.generation), status=202, replayed=admitted.replayed)


def admitted_view(found: Generation) -> AdmittedAnswer:
    """Show a generation as it was when it was taken on."""
    return AdmittedAnswer(
        id=found.id,
        status="queued",
        account_id=found.account_id,
        model=found.model,
        frozen=credits_of(found.frozen_microcredits),
        retry_of=found.retry_of,
        position=found.queue_position,
        estimated_wait_s=found.queue_wait_s,
        events_url=_events_url(found.id),
        cancel_url=_cancel_url(found.id),
        created_at=from_us(found.created_at_us),
    )


def generation_answer(found: Generation, principal: Principal, place: Place | None = None) -> GenerationAnswer:
    """Show a generation to this caller."""
    figures = found.figures
    sees_provider = principal.role in {Role.admin, Role.finance}
    return GenerationAnswer(
        id=found.id,
        account_id=found.account_id,
        status=found.status.name,
        model=found.model,
        mode=found.mode,
        partial=found.partial,
        output=found.output,
        artifacts=found.artifacts,
        structured=None if found.structured is None else found.structured.get("value"),
        usage=None if found.usage is None else usage_numbers(found.usage),
        usage_estimated=found.usage_estimated,
        cost=None if found.cost_microcredits is None else credits_of(found.cost_microcredits),
        shortfall=None if found.shortfall_microcredits is None else credits_of(found.shortfall_microcredits),
        frozen=credits_of(found.frozen_microcredits),
        model_version=found.model_version,
        price_version=found.price_version,
        max_output_tokens=found.max_output_tokens,
        finish_reason=found.finish_reason,
        error=found.error,
        provider_message=found.provider_message if sees_provider else None,
        attempts=found.attempts,
        retry_of=found.retry_of,
        batch_id=found.batch_id,
        tier=Tier(found.tier).name,
        position=None if place is None else place.position,
        estimated_wait_s=None if place is None else place.wait_s,
        events_url=_events_url(found.id),
        cancel_url=_cancel_url(found.id),
        created_at=from_us(found.created_at_us),
        timings=_timings(found),
        served_model=None if figures is None else figures.served_model,
        served_provider=figures.served_provider if figures is not None and sees_provider else None,
        fallback_used=figures is not None and figures.fallback_used,
        cache_hit=figures is not None and figures.cache_hit,
    )


def _timings(found: Generation) -> Timings:
    figures = found.figures or Figures()
    return Timings(
        created_at=from_us(found.created_at_us),
        started_at=us_moment(found.started_at_us),
        first_token_at=us_moment(found.first_token_at_us),
        finished_at=us_moment(found.finished_at_us),
        cancel_requested_at=us_moment(found.cancel_requested_at_us),
        total_ms=_ms(figures.total_us),
        database_ms=_ms(figures.database_us),
        cache_read_ms=_ms(figures.cache_read_us),
        credit_ms=_ms(figures.credit_us),
        provider_ms=_ms(figures.provider_us),
        cache_write_ms=_ms(figures.cache_write_us),
    )


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000


def _events_url(generation_id: UUID) -> str:
    return f"/v1/generations/{generation_id}/events"


def _cancel_url(generation_id: UUID) -> str:
    return f"/v1/generations/{generation_id}/cancel"
