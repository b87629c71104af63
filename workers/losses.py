"""Generations whose worker was lost: tried again by another, or ended where that makes no sense any more."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import msgspec
import structlog

from ledger.errors import Contended
from ledger.rows import to_us
from workers.admission import RESEND_AFTER_S
from workers.call_records import Call, encode_calls
from workers.cancels import broken_off_answer, lost_content, tell_readers
from workers.claims import LEASE_S
from workers.context import GenerationContext
from workers.finishing import Finish, finish_generation, guard_dead_lease
from workers.generations import Figures, sql
from workers.providers import ProviderNotConfigured
from workers.queue import WakeUp
from workers.requests import StoredRequest, provider_request
from workers.settlement import Ending
from workers.streams.content import Content
from workers.streams.terminal import UNWRITTEN_END_SEQ, Failure
from workers.tiers import Tier

BATCH: Final = 200
LOST_LIMIT: Final = 3
"""A generation that has lost this many workers fails: perhaps it is what kills them."""

WORKER_LOST: Final = Failure(
    code="worker_lost", message="This was interrupted on our side, several times. Nothing is charged. Please try again."
)

_log = structlog.stdlib.get_logger(__name__)


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that runs by its row, while nobody has extended its lease."""

    generation_id: UUID
    account_id: UUID
    attempt: int
    model: str
    price_version: int
    frozen_microcredits: int
    provider: str
    max_output_tokens: int
    lost_attempts: int
    cancel_requested: bool
    tier: int
    request_id: str
    body: bytes
    created_at: datetime
    input_length: int | None

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of `read_dead_leases.sql`."""
        return cls(**dict(zip(cls.__struct_fields__, row, strict=True)))


async def recover_lost(context: GenerationContext) -> int:
    """Put generations whose worker was lost back into the queue, or end them; return how many."""
    parameters = {"limit": BATCH, "lease": f"{LEASE_S} s"}
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.READ_DEAD_LEASES, parameters)).fetchall()
    return sum(await asyncio.gather(*(_recover(context, Lost.of_row(row)) for row in rows)))


async def _recover(context: GenerationContext, lost: Lost) -> int:
    # Read before anyone else can take it up: the next attempt drops what this one streamed.
    content = await lost_content(context.redis, lost.generation_id)
    call = await _lost_call(context, lost, content)
    if lost.cancel_requested:
        return await _end(context, lost, content, call, Ending(ended_as="cancelled"))
    if lost.lost_attempts + 1 >= LOST_LIMIT:
        return await _end(context, lost, content, call, Ending(ended_as="failed", error=WORKER_LOST))
    return await _requeue(context, lost, call)


async def _requeue(context: GenerationContext, lost: Lost, call: Call) -> int:
    parameters = {
        "id": lost.generation_id,
        "account_id": lost.account_id,
        "attempt": lost.attempt,
        "calls": encode_calls([call]),
        "resend_after": f"{RESEND_AFTER_S} s",
    }
    async with context.database.connection() as connection:
        if await (await connection.execute(sql.REQUEUE_LOST, parameters)).fetchone() is None:
            return 0
    _log.warning("worker_lost", generation_id=str(lost.generation_id), attempt=lost.attempt, request_id=lost.request_id)
    context.queue.send(WakeUp(Tier(lost.tier), lost.request_id))
    return 1


async def _end(context: GenerationContext, lost: Lost, content: Content, call: Call, ending: Ending) -> int:
    """End it: nothing is paid, what had been streamed is kept, and a worker that comes back is fenced."""
    prices, _ = await context.catalogue.price(lost.model, lost.price_version)
    finish = Finish(
        generation_id=lost.generation_id,
        account_id=lost.account_id,
        guard=guard_dead_lease(lost.generation_id, lost.account_id, attempt=lost.attempt),
        end_epoch=lost.attempt + 1,
        end_seq=UNWRITTEN_END_SEQ,
        text=content.text,
        artifacts=content.artifacts,
        structured=content.structured,
        ending=ending,
        frozen_microcredits=lost.frozen_microcredits,
        prices=prices,
        figures=Figures(input_length=lost.input_length),
        created_at_us=to_us(lost.created_at),
        calls=(call,),
        writes=(broken_off_answer(lost.account_id, lost.generation_id, content),),
    )
    try:
        terminal = await finish_generation(context.database, context.writer, finish)
    except Contended as contended:
        _log.warning("ending_contended", generation_id=str(lost.generation_id), error=str(contended))
        return 0
    if terminal is None:
        return 0
    await tell_readers(context.redis, lost.generation_id, terminal)
    return 1


async def _lost_call(context: GenerationContext, lost: Lost, content: Content) -> Call:
    """Return the call that was lost with its worker, with an estimate of what it cost us by what it had streamed."""
    usage = cost = None
    said = content.text or str((content.structured or {}).get("json", ""))
    if said:
        try:
            stored = StoredRequest.decode(lost.body)
            route = stored.chain(lost.price_version)[0]
            request = provider_request(
                stored,
                await context.catalogue.definition(route.model, route.version),
                generation_id=lost.generation_id,
                request_id=lost.request_id,
                max_output_tokens=lost.max_output_tokens,
            )
            usage = context.providers.get(lost.provider).estimate_usage(request, delivered=said, reported=None)
        except ProviderNotConfigured as error:
            _log.info("lost_call_not_estimated", generation_id=str(lost.generation_id), error=str(error))
    if usage is not None:
        _, costs = await context.catalogue.price(lost.model, lost.price_version)
        cost = costs.cost(usage)
    return Call(
        attempt=lost.attempt,
        call=0,
        model=lost.model,
        provider=lost.provider,
        outcome="worker_lost",
        started_at_us=None,
        ended_at_us=time.time_ns() // 1_000,
        usage=usage,
        cost_microdollars=cost,
    )
