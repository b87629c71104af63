"""Many generations in one request, each taken on or refused by itself."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.answers import Answer, encode
from api.cursors import LIMIT_DEFAULT, PageLimit, VersionCursor, after_version, page_of
from api.errors import InvalidRequest
from api.generations import AdmittedAnswer, GenerationBody, admitted_view
from api.idempotency import once
from api.ownership import acting_account, visible_account
from api.principal import EVERYONE, RUNNERS
from api.problems import problem_of
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.batches import (
    MAX_ITEMS,
    BatchCounts,
    DecidedItem,
    SubmittedBatch,
    cancel_batch,
    list_items,
    read_batch,
    submit_batch,
)
from workers.generations import Generation
from workers.requests import GenerationRequest

MAX_BODY_BYTES: Final = 16 * 1024 * 1024


class GenerationBatchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Generations to take on, all for one account."""

    items: Annotated[list[GenerationBody], Meta(min_length=1, max_length=MAX_ITEMS)]
    account_id: UUID | None = None
    """On whose behalf; only users may leave it out."""


class SubmittedBatchItem(Struct, frozen=True, kw_only=True):
    """What came of one item: `status` is 202 and there is a generation, or the status of its problem."""

    index: int
    status: int
    generation: AdmittedAnswer | None = None
    problem: dict[str, Any] | None = None


class SubmittedBatchAnswer(Struct, frozen=True, kw_only=True):
    """A batch, and what came of each of its items, in their order."""

    id: UUID
    account_id: UUID
    total: int
    admitted: int
    items: list[SubmittedBatchItem]
    events_url: str
    cancel_url: str
    created_at: datetime


class GenerationBatchItem(Struct, frozen=True, kw_only=True):
    """One item: its generation and how far that is, or the problem it was refused with."""

    index: int
    generation_id: UUID | None
    status: str
    """Of the generation, or `refused`."""
    problem: dict[str, Any] | None


class GenerationBatchAnswer(Struct, frozen=True, kw_only=True):
    """A batch as it is now: how many of its items are where, and some of them in their order."""

    id: UUID
    account_id: UUID
    total: int
    queued: int
    running: int
    completed: int
    cancelled: int
    failed: int
    refused: int
    done: bool
    """Nothing about it will change any more."""
    items: list[GenerationBatchItem]
    next_cursor: str | None
    events_url: str
    cancel_url: str
    created_at: datetime


@post(
    "/v1/generation-batches",
    status_code=202,
    opt={"roles": RUNNERS, "problems": (404, 409)},
    request_max_body_size=MAX_BODY_BYTES,
)
async def create(data: JSONBody[GenerationBatchBody], request: ApiRequest) -> Answer[SubmittedBatchAnswer]:
    """Take on up to 500 generations; each has its own freeze, and is taken on or refused by itself."""
    return await once(request, lambda _: submit(data, request))


@get("/v1/generation-batches/{batch_id:uuid}", opt={"roles": EVERYONE})
async def read(
    batch_id: FromPath[UUID], request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: VersionCursor = None
) -> Answer[GenerationBatchAnswer]:
    """Return a batch as it is now, with a page of its items."""
    return Answer(await shown(await visible_batch(batch_id, request), request, limit=limit, cursor=cursor))


@post(
    "/v1/generation-batches/{batch_id:uuid}/cancel",
    status_code=202,
    opt={"roles": RUNNERS, "also": (200,), "problems": (409,)},
)
async def cancel(batch_id: FromPath[UUID], request: ApiRequest) -> Answer[GenerationBatchAnswer]:
    """Ask for everything of a batch to be stopped that has not ended: 202; where all has ended: 200."""
    return await once(request, lambda _: ask_to_cancel(batch_id, request))


async def submit(data: GenerationBatchBody, request: ApiRequest) -> Answer[SubmittedBatchAnswer]:
    """Take the items on and say what came of each."""
    account_id = acting_account(request.principal, data.account_id)
    submitted = await submit_batch(
        request.services.generations,
        account_id,
        [_request(item, account_id) for item in data.items],
        problem_of=lambda error: encode(problem_of(error).document(request.request_id)),
        idempotency_key=request.idempotency_key,
        request_id=request.request_id,
    )
    return Answer(submitted_answer(submitted, account_id), status=202, replayed=submitted.replayed)


async def ask_to_cancel(batch_id: UUID, request: ApiRequest) -> Answer[GenerationBatchAnswer]:
    """Cancel, and say whether there was still something to cancel."""
    before = await visible_batch(batch_id, request)
    after = await cancel_batch(request.services.generations, before)
    return Answer(await shown(after, request, limit=LIMIT_DEFAULT, cursor=None), status=200 if before.is_over else 202)


async def visible_batch(batch_id: UUID, request: ApiRequest) -> BatchCounts:
    """Read a batch that the caller may see.

    Raises:
        BatchNotFound: there is none, or it is another account's.
    """
    scope = visible_account(request.principal, None)
    return await read_batch(request.services.database, batch_id, account_id=scope)


async def shown(batch: BatchCounts, request: ApiRequest, *, limit: int, cursor: str | None) -> GenerationBatchAnswer:
    """Show a batch with a page of its items."""
    # A cursor is the ordinal that the next page begins with.
    items = await list_items(
        request.services.database, batch, from_ordinal=min(after_version(cursor), MAX_ITEMS), limit=limit + 1
    )
    page = page_of(items, limit=limit, cursor_of=lambda item: item.ordinal + 1)
    return GenerationBatchAnswer(
        id=batch.id,
        account_id=batch.account_id,
        total=batch.total,
        queued=batch.queued,
        running=batch.running,
        completed=batch.completed,
        cancelled=batch.cancelled,
        failed=batch.failed,
        refused=batch.refused,
        done=batch.is_over,
        items=[_item_answer(item) for item in page.items],
        next_cursor=page.next_cursor,
        events_url=_events_url(batch.id),
        cancel_url=_cancel_url(batch.id),
        created_at=from_us(batch.created_at_us),
    )


def submitted_answer(submitted: SubmittedBatch, account_id: UUID) -> SubmittedBatchAnswer:
    """Show what came of a batch."""
    return SubmittedBatchAnswer(
        id=submitted.id,
        account_id=account_id,
        total=len(submitted.items),
        admitted=sum(isinstance(item, Generation) for item in submitted.items),
        items=[_submitted_item(index, item) for index, item in enumerate(submitted.items)],
        events_url=_events_url(submitted.id),
        cancel_url=_cancel_url(submitted.id),
        created_at=from_us(submitted.created_at_us),
    )


def _request(item: GenerationBody, account_id: UUID) -> GenerationRequest | Exception:
    if item.account_id not in {None, account_id}:
        return InvalidRequest("account_id: all items of a batch are for the account of the batch")
    return item.request()


def _submitted_item(index: int, item: Generation | bytes) -> SubmittedBatchItem:
    if isinstance(item, Generation):
        return SubmittedBatchItem(index=index, status=202, generation=admitted_view(item))
    problem = msgspec.json.decode(item, type=dict[str, Any])
    return SubmittedBatchItem(index=index, status=problem["status"], problem=problem)


def _item_answer(item: DecidedItem) -> GenerationBatchItem:
    return GenerationBatchItem(
        index=item.ordinal,
        generation_id=item.generation_id,
        status="refused" if item.status is None else item.status.name,
        problem=None if item.problem is None else msgspec.json.decode(item.problem, type=dict[str, Any]),
    )


def _events_url(batch_id: UUID) -> str:
    return f"/v1/generation-batches/{batch_id}/events"


def _cancel_url(batch_id: UUID) -> str:
    return f"/v1/generation-batches/{batch_id}/cancel"
