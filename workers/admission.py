"""Taking on a generation: decide its price, freeze the most it can cost, and write down what is to be done.

Freeze, generation and outbox row commit together, so there is no freeze without its generation and no generation that
nobody starts. The freeze has the generation's own id.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, cast
from uuid import UUID

import msgspec
import psycopg
import structlog
from msgspec import Struct
from uuid_utils.compat import uuid7

from ledger import commands
from ledger.batch import Rider, Statement
from ledger.errors import AccountNotFound, IdempotencyKeyReused, Refused, RiderRefused
from ledger.events import CreditsFrozen
from ledger.rows import from_us
from workers.context import GenerationContext
from workers.errors import (
    GenerationError,
    GenerationNotRetryable,
    InputTooLong,
    InvalidInput,
    SessionBusy,
    TierRequired,
)
from workers.generations import Generation, GenerationStatus, generation_of_row, get_generation, sql
from workers.intake import Intake, model_meant, take_again, take_in
from workers.media.errors import MediaError
from workers.models import Model
from workers.positions import Place
from workers.providers import Usage
from workers.queue import WakeUp
from workers.requests import (
    GenerationRequest,
    Route,
    StoredRequest,
    bound_usage,
    output_limit,
    provider_request,
)
from workers.tiers import Tier

FREEZE_TTL_S: Final = 3_600
DEADLINE_S: Final = 2_700
"""All work on a generation ends within this time of its admission, well before its freeze expires."""

_log = structlog.stdlib.get_logger(__name__)

RESEND_AFTER_S: Final = 2
"""The outbox takes over if no worker has claimed a generation by then."""

_NOBODY: Final = UUID(int=0)

WARM_UP: Final[tuple[Statement, ...]] = (
    (sql.READ_TIER, {"account_id": _NOBODY}),
    (sql.COUNT_AHEAD_OF_NEXT, {"account_id": _NOBODY, "tier": Tier.free, "provider": "", "most": 0}),
)
"""What the connections of whoever admits are warmed up with: what is read before a generation is written."""


class Admitted(Struct, frozen=True):
    """A generation that was taken on; `replayed` if an earlier request under the same key had done so."""

    generation: Generation
    replayed: bool


class BatchItem(NamedTuple):
    """Which item of which batch a generation is."""

    batch_id: UUID
    ordinal: int


async def admit(
    context: GenerationContext,
    account_id: UUID,
    request: GenerationRequest,
    *,
    idempotency_key: str | None = None,
    request_id: str,
    batch_item: BatchItem | None = None,
) -> Admitted:
    """Take on a generation, or return the one that this key already led to.

    Raises:
        ModelNotFound: no such model is offered here.
        TierRequired: this account's tier may not use it.
        InvalidInput, InputTooLong: the model does not take this input.
        TemplateNotFound, SessionNotFound, MediaError: what it names is not there, or is another account's.
        SessionBusy: an answer is being written in its session.
        IdempotencyKeyReused: the key belongs to another request of this account.
        InsufficientCredits, AccountInDebt: the account cannot cover the most it may cost.
        AccountNotFound: there is no such account.
        Contended: the database could not take it now.
    """
    wish = _Wish(account_id, request.sha256(), idempotency_key, request_id, batch_item=batch_item)
    return await _once(context, wish, _admit_anew(context, wish, request))


async def retry_generation(
    context: GenerationContext,
    generation_id: UUID,
    *,
    account_id: UUID | None,
    idempotency_key: str | None = None,
    request_id: str,
) -> Admitted:
    """Ask again for what failed or was cancelled: a new generation, at today's price, linked by `retry_of`.

    Raises:
        GenerationNotFound: there is none, or it is another account's.
        GenerationNotRetryable: it completed, or has not ended.
        ModelNotFound, TierRequired, InvalidInput, MediaError, SessionBusy, IdempotencyKeyReused, Refused, Contended: as
            `admit`.
    """
    original = await get_generation(context.database, generation_id, account_id=account_id)
    if original.status not in {GenerationStatus.failed, GenerationStatus.cancelled}:
        raise GenerationNotRetryable(generation_id, status=original.status.name)
    async with context.database.connection() as connection:
        ids = {"generation_id": original.id, "account_id": original.account_id}
        row = await (await connection.execute(sql.READ_REQUEST, ids)).fetchone()
    assert row is not None, "a generation is written together with its request"
    stored = StoredRequest.decode(row[0])
    wish = _Wish(
        original.account_id, stored.retry_sha256(original.id), idempotency_key, request_id, retry_of=original.id
    )
    return await _once(context, wish, _retry_anew(context, wish, stored, original.id))


class _Wish(NamedTuple):
    """Who asks, and what tells a repetition of their asking from another request."""

    account_id: UUID
    request_sha256: bytes
    idempotency_key: str | None
    request_id: str
    retry_of: UUID | None = None
    batch_item: BatchItem | None = None

    @property
    def key_sha256(self) -> bytes | None:
        return None if self.idempotency_key is None else hashlib.sha256(self.idempotency_key.encode()).digest()


async def _once(context: GenerationContext, wish: _Wish, anew: Awaitable[Admitted]) -> Admitted:
    """Take a wish on, unless it was before: then that is the answer, whatever has changed since.

    Nearly nobody asks twice, and who does is refused: the ledger, or the index of keys, knows the key. So only then is
    it looked for.
    """
    try:
        return await anew
    except (GenerationError, MediaError, Refused, psycopg.errors.UniqueViolation):
        earlier = await _find_replay(context, wish)
        if earlier is None:
            raise
        return Admitted(earlier, replayed=True)


async def _admit_anew(context: GenerationContext, wish: _Wish, request: GenerationRequest) -> Admitted:
    generation_id = uuid7()
    stands = await _standing(context, wish.account_id, await model_meant(context.database, wish.account_id, request))
    taken = await take_in(context, wish.account_id, request, stands.model.definition, generation_id=generation_id)
    return await _take_on(context, wish, generation_id, taken, stands)


async def _retry_anew(context: GenerationContext, wish: _Wish, stored: StoredRequest, retry_of: UUID) -> Admitted:
    generation_id = uuid7()
    stands = await _standing(context, wish.account_id, stored.model)
    taken = await take_again(
        context,
        wish.account_id,
        stored,
        stands.model.definition,
        generation_id=generation_id,
        retry_of=retry_of,
    )
    return await _take_on(context, wish, generation_id, taken, stands)


class _Standing(NamedTuple):
    """What an account asks of which queue, and where it would stand there."""

    model: Model
    tier: Tier
    place: Place


async def _standing(context: GenerationContext, account_id: UUID, model_name: str) -> _Standing:
    model = await context.catalogue.offered(model_name)
    tier = await context.tiers.of(account_id)
    if tier.name not in model.definition.tiers:
        # Nobody is refused for what was known of them before they paid.
        context.tiers.forget(account_id)
        tier = await context.tiers.of(account_id)
    if tier.name not in model.definition.tiers:
        raise TierRequired(model.definition.name, tiers=model.definition.tiers)
    place = await context.places.of_next(account_id, tier=tier, provider=model.definition.provider)
    return _Standing(model, tier, place)


async def _take_on(
    context: GenerationContext, wish: _Wish, generation_id: UUID, taken: Intake, stands: _Standing
) -> Admitted:
    model, tier, place = stands
    chain = await context.catalogue.chain(model, taken.stored.mode)
    generation, statement = _prepare(context, wish, generation_id, taken, chain, tier=tier, place=place)
    riders = (Rider(writes=(statement,)), *taken.riders)
    try:
        original_id = await _write(context, generation, riders, wish)
    except RiderRefused:
        # Of the riders, only a turn in a session has a guard.
        raise SessionBusy(cast("UUID", taken.stored.session_id)) from None
    if original_id != generation.id:
        original = await get_generation(context.database, original_id, account_id=wish.account_id)
        return Admitted(original, replayed=True)
    context.queue.send(WakeUp(tier, wish.request_id))
    # A worker begins while the answer is still being made.
    await asyncio.sleep(0)
    return Admitted(generation, replayed=False)


def _prepare(
    context: GenerationContext,
    wish: _Wish,
    generation_id: UUID,
    taken: Intake,
    chain: tuple[Model, ...],
    *,
    tier: Tier,
    place: Place,
) -> tuple[Generation, Statement]:
    now_us = time.time_ns() // 1_000
    model = chain[0]
    limit = output_limit(taken.stored.max_output_tokens, model.definition)
    usable = _usable(context, wish, taken, chain, generation_id=generation_id, limit=limit)
    most = _most([bound for _, bound in usable])
    routes = tuple(Route(each.definition.name, each.version, each.price_version) for each, _ in usable)
    stored = msgspec.structs.replace(taken.stored, routes=routes)
    generation = Generation(
        id=generation_id,
        account_id=wish.account_id,
        model=stored.model,
        mode=stored.mode,
        provider=model.definition.provider,
        status=GenerationStatus.queued,
        frozen_microcredits=model.prices.bound(most),
        model_version=model.version,
        price_version=model.price_version,
        max_output_tokens=limit,
        retry_of=wish.retry_of,
        request_id=wish.request_id,
        created_at_us=now_us,
        tier=tier,
        batch_id=None if wish.batch_item is None else wish.batch_item.batch_id,
        queue_position=place.position,
        queue_wait_s=place.wait_s,
    )
    parameters: dict[str, object] = {
        "id": generation_id,
        "account_id": wish.account_id,
        "retry_of": wish.retry_of,
        "created_at": from_us(now_us),
        "deadline_at": from_us(now_us + DEADLINE_S * 1_000_000),
        "frozen": generation.frozen_microcredits,
        "model_version": model.version,
        "price_version": model.price_version,
        "max_output_tokens": limit,
        "input_length": sum(len(message.content) for message in stored.messages),
        "model": stored.model,
        "mode": stored.mode,
        "provider": model.definition.provider,
        "request_id": wish.request_id,
        "idempotency_sha256": wish.key_sha256,
        "request_sha256": wish.request_sha256,
        "body": stored.encode(),
        "resend_after": f"{RESEND_AFTER_S} s",
        "tier": tier,
        "queue_position": place.position,
        "queue_wait_s": place.wait_s,
        "batch_id": generation.batch_id,
        "batch_ordinal": None if wish.batch_item is None else wish.batch_item.ordinal,
    }
    return generation, (sql.ADMIT_GENERATION, parameters)


def _usable(
    context: GenerationContext,
    wish: _Wish,
    taken: Intake,
    chain: tuple[Model, ...],
    *,
    generation_id: UUID,
    limit: int,
) -> list[tuple[Model, Usage]]:
    """Return the models of the chain that take this request, each with the most it can use.

    Raises:
        InvalidInput, InputTooLong: the first does not.
    """
    usable: list[tuple[Model, Usage]] = []
    for model in chain:
        definition = model.definition
        call = provider_request(
            taken.stored,
            definition,
            generation_id=generation_id,
            request_id=wish.request_id,
            max_output_tokens=limit,
            files=taken.files,
        )
        try:
            bound = bound_usage(call, context.providers.get(definition.provider), definition, taken.given)
        except (InvalidInput, InputTooLong) as refused:
            if model is chain[0]:
                raise
            _log.debug("fallback_left_out", model=definition.name, reason=str(refused))
            continue
        usable.append((model, bound))
    return usable


def _most(bounds: Sequence[Usage]) -> Usage:
    """Return the most that can be used, whichever route serves it."""
    return Usage(**{name: max(getattr(bound, name) for bound in bounds) for name in Usage.__struct_fields__})


async def _write(context: GenerationContext, generation: Generation, riders: Sequence[Rider], wish: _Wish) -> UUID:
    """Write the generation and return its id, or the id of the one that the key led to before.

    A model that is free freezes nothing: an account without credits may use it, and the ledger has nothing to say.

    Raises:
        RiderRefused: a guard of the riders does not hold.
    """
    if generation.frozen_microcredits == 0:
        await _write_alone(context, generation, riders)
        return generation.id
    suffix = str(generation.id) if wish.key_sha256 is None else wish.key_sha256.hex()
    freeze = commands.Freeze(
        account_id=generation.account_id,
        command_key=f"{commands.OWN_KEY_PREFIX}generate:{suffix}",
        actor="generations",
        freeze_id=generation.id,
        amount_microcredits=generation.frozen_microcredits,
        ttl_us=FREEZE_TTL_S * 1_000_000,
        reference=f"generation:{wish.request_sha256.hex()}",
    )
    outcome = await context.writer.submit(freeze, riders=riders)
    return cast("CreditsFrozen", outcome.event.decoded_body()).freeze_id


async def _write_alone(context: GenerationContext, generation: Generation, riders: Sequence[Rider]) -> None:
    try:
        async with context.database.connection() as connection:
            for rider in riders:
                if rider.guard is not None and await (await connection.execute(*rider.guard)).fetchone() is None:
                    raise RiderRefused
                for statement in rider.writes:
                    await connection.execute(*statement)
    except psycopg.errors.ForeignKeyViolation as error:
        if error.diag.constraint_name == "generations_account":
            raise AccountNotFound(generation.account_id) from None
        raise


async def _find_replay(context: GenerationContext, wish: _Wish) -> Generation | None:
    if wish.key_sha256 is None:
        return None
    parameters = {"account_id": wish.account_id, "idempotency_sha256": wish.key_sha256}
    async with context.database.autocommit() as connection:
        row = await (await connection.execute(sql.FIND_REPLAY, parameters)).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != wish.request_sha256:
        raise IdempotencyKeyReused(cast("str", wish.idempotency_key))
    return generation_of_row(row[1:])
