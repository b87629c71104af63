"""What time brings about: lost workers, work that nobody took up, freezes and lots that are over.

Each sweep does a bounded batch and returns how much it did. Everything it does is guarded by the rows or the ledger, so
two clocks at once would do no harm.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import structlog

from ledger.batch import expire_lot
from ledger.commands import OWN_KEY_PREFIX, Command, ExpireFreeze
from ledger.errors import Contended, Refused
from ledger.rows import from_us
from ledger.sealer import seal
from workers.admission import RESEND_AFTER_S
from workers.cancels import lost_text, tell_readers
from workers.claims import LEASE_S
from workers.context import GenerationContext
from workers.finishing import Call, Finish, finish_generation, guard_attempt, guard_dead_lease
from workers.generations import GenerationStatus, sql
from workers.queue import Dispatch
from workers.settlement import Ending
from workers.streams.terminal import UNWRITTEN_END_SEQ, Failure

BATCH: Final = 200
LOST_LIMIT: Final = 3
"""A generation that has lost this many workers fails: perhaps it is what kills them."""

ACTOR: Final = "clock"

_DEAD: Final = {"lost_limit": LOST_LIMIT, "limit": BATCH, "lease": f"{LEASE_S} s"}

WORKER_LOST: Final = Failure(
    code="worker_lost", message="This was interrupted on our side, several times. Nothing is charged. Please try again."
)
QUEUE_TIMEOUT: Final = Failure(
    code="queue_timeout", message="This waited too long for its turn. Nothing is charged. Please try again."
)

_log = structlog.stdlib.get_logger(__name__)


async def requeue_lost(context: GenerationContext) -> int:
    """Put generations whose worker was lost back into the queue."""
    parameters = {**_DEAD, "resend_after": f"{RESEND_AFTER_S} s"}
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.REQUEUE_DEAD_LEASES, parameters)).fetchall()
    for row in rows:
        _log.warning("worker_lost", generation_id=str(row[1]), request_id=row[2])
        context.queue.send(Dispatch(*row))
    return len(rows)


async def end_abandoned(context: GenerationContext) -> int:
    """End generations that were lost too often, or whose worker was lost while they were to be cancelled."""
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.READ_ABANDONED, _DEAD)).fetchall()
    return sum(await asyncio.gather(*(_end(context, row, "worker_lost") for row in rows)))


async def end_overdue(context: GenerationContext) -> int:
    """End generations that no worker took up before their time was over."""
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.READ_OVERDUE, {"limit": BATCH})).fetchall()
    return sum(await asyncio.gather(*(_end(context, row, "queue_timeout") for row in rows)))


async def expire_freezes(context: GenerationContext) -> int:
    """Roll back freezes whose time is over."""
    rows = await _read_expired(context, sql.READ_EXPIRED_FREEZES)
    commands = [
        ExpireFreeze(
            account_id=account_id,
            command_key=f"{OWN_KEY_PREFIX}expire-freeze:{freeze_id}",
            actor=ACTOR,
            freeze_id=freeze_id,
        )
        for account_id, freeze_id in rows
    ]
    return await _submit_all(context, commands)


async def expire_lots(context: GenerationContext) -> int:
    """Empty lots whose time is over."""
    rows = await _read_expired(context, sql.READ_EXPIRED_LOTS)
    return await _submit_all(context, [expire_lot(account_id, number) for account_id, number in rows])


async def seal_events(context: GenerationContext) -> int:
    """Give committed events their order."""
    async with context.database.connection() as connection:
        return await seal(connection)


async def _end(context: GenerationContext, row: Sequence[Any], code: Literal["worker_lost", "queue_timeout"]) -> int:
    """End what nobody works on: nothing is paid, what had been streamed is kept, and whoever comes back is fenced."""
    generation_id, account_id, attempt, model, price_version, frozen, provider, cancelled = row
    prices, _ = await context.catalogue.price(model, price_version)
    if code == "worker_lost":
        guard = guard_dead_lease(generation_id, account_id, attempt=attempt)
        calls, error = (_lost_call(provider, attempt),), WORKER_LOST
    else:
        guard = guard_attempt(generation_id, account_id, attempt=attempt, status=GenerationStatus.queued)
        calls, error = (), QUEUE_TIMEOUT
    finish = Finish(
        generation_id=generation_id,
        account_id=account_id,
        guard=guard,
        end_epoch=attempt + 1,
        end_seq=UNWRITTEN_END_SEQ,
        text=await lost_text(context.redis, generation_id) if attempt else "",
        ending=Ending(ended_as="cancelled") if cancelled else Ending(ended_as="failed", error=error),
        frozen_microcredits=frozen,
        prices=prices,
        calls=calls,
    )
    try:
        terminal = await finish_generation(context.database, context.writer, finish)
    except Contended as contended:
        _log.warning("ending_contended", generation_id=str(generation_id), error=str(contended))
        return 0
    if terminal is None:
        return 0
    await tell_readers(context.redis, generation_id, terminal)
    return 1


def _lost_call(provider: str, attempt: int) -> Call:
    return Call(
        attempt=attempt,
        call=0,
        provider=provider,
        outcome="worker_lost",
        started_at_us=None,
        ended_at_us=time.time_ns() // 1_000,
        usage=None,
        cost_microdollars=None,
    )


async def _read_expired(context: GenerationContext, statement: Any) -> list[tuple[UUID, Any]]:
    # By our clock, because the ledger decides by it whether something is over.
    parameters = {"now": from_us(time.time_ns() // 1_000), "limit": BATCH}
    async with context.database.connection() as connection:
        return await (await connection.execute(statement, parameters)).fetchall()


async def _submit_all(context: GenerationContext, commands: Sequence[Command]) -> int:
    """Submit them together; one that is refused was resolved by someone else meanwhile, or will be the next time."""
    results = await asyncio.gather(*(context.writer.submit(command) for command in commands), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refused | Contended):
            raise result
    return sum(not isinstance(result, BaseException) for result in results)
