"""What time brings about: work that nobody took up, freezes and lots that are over, events to seal.

Each sweep does a bounded batch and returns how much it did. Everything it does is guarded by the rows or the ledger, so
two clocks at once would do no harm.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import structlog

from ledger.batch import expire_lot
from ledger.commands import OWN_KEY_PREFIX, Command, ExpireFreeze
from ledger.errors import Contended, Refused
from ledger.rows import from_us, to_us
from ledger.sealer import Sealer
from projections.catalogue import PROJECTIONS
from projections.runner import advance_active
from projections.unbilled import place_unbilled
from workers.cancels import broken_off_answer, lost_content, tell_readers
from workers.context import GenerationContext
from workers.finishing import Finish, finish_generation, guard_attempt
from workers.generations import Figures, GenerationStatus, sql
from workers.settlement import Ending
from workers.streams.content import NOTHING
from workers.streams.terminal import UNWRITTEN_END_SEQ, Failure

BATCH: Final = 200
ACTOR: Final = "clock"

QUEUE_TIMEOUT: Final = Failure(
    code="queue_timeout", message="This waited too long for its turn. Nothing is charged. Please try again."
)

PROJECTION_REST: Final = 8.0
FULL_PROJECTION: Final = min(projection.batch_limit for projection in PROJECTIONS)

_log = structlog.stdlib.get_logger(__name__)


async def end_overdue(context: GenerationContext) -> int:
    """End generations that no worker took up before their time was over."""
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.READ_OVERDUE, {"limit": BATCH})).fetchall()
    return sum(await asyncio.gather(*(_end_overdue(context, row) for row in rows)))


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


async def project_events(context: GenerationContext) -> int:
    """Take what was sealed into every read model, a batch each; return how many events that was for the fullest.

    While they are behind, they rest eight times as long as they work: writers come first, and how far read models are
    behind is no secret.
    """
    started = time.perf_counter()
    taken = [await advance_active(context.database, projection) for projection in PROJECTIONS]
    if max(taken) >= FULL_PROJECTION:
        await asyncio.sleep(PROJECTION_REST * (time.perf_counter() - started))
    return max(taken)


async def place_unbilled_endings(context: GenerationContext) -> int:
    """Have the analytics count generations that ended without an event."""
    return await place_unbilled(context.database)


def sealing() -> Callable[[GenerationContext], Awaitable[int]]:
    """Return the task that gives committed events their order; it remembers where the order ended."""
    sealer = Sealer()

    async def seal_events(context: GenerationContext) -> int:
        async with context.database.connection() as connection:
            return await sealer.seal(connection)

    return seal_events


async def _end_overdue(context: GenerationContext, row: Sequence[Any]) -> int:
    generation_id, account_id, attempt, model, price_version, frozen, cancelled, created_at, input_length = row
    prices, _ = await context.catalogue.price(model, price_version)
    content = await lost_content(context.redis, generation_id) if attempt else NOTHING
    finish = Finish(
        generation_id=generation_id,
        account_id=account_id,
        guard=guard_attempt(generation_id, account_id, attempt=attempt, status=GenerationStatus.queued),
        end_epoch=attempt + 1,
        end_seq=UNWRITTEN_END_SEQ,
        text=content.text,
        artifacts=content.artifacts,
        structured=content.structured,
        ending=Ending(ended_as="cancelled") if cancelled else Ending(ended_as="failed", error=QUEUE_TIMEOUT),
        frozen_microcredits=frozen,
        prices=prices,
        figures=Figures(input_length=input_length),
        created_at_us=to_us(created_at),
        writes=(broken_off_answer(account_id, generation_id, content),),
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
