"""Ending a generation: the ledger's commands and the terminal row commit together, for one attempt, once."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from ledger.amounts import format_credits
from ledger.batch import Rider, Statement
from ledger.database import Database
from ledger.errors import Contended, FreezeAlreadyResolved, FreezeNotFound, IdempotencyKeyReused, RiderRefused
from ledger.rows import from_us
from ledger.writer import LedgerWriter
from workers.call_records import Call, encode_calls, storable, usage_columns
from workers.figures import twelve_figures
from workers.generations import Figures, GenerationStatus, sql, terminal_of, usage_numbers
from workers.pricing import Prices
from workers.settlement import Ending, Settlement, decide_settlement, overage_key
from workers.streams.terminal import Failure, Terminal, text_sha256

CONTENDED_LIMIT: Final = 8
CONTENDED_PAUSE_S: Final = 0.25
"""Doubles up to `CONTENDED_MAX_PAUSE_S`: together about ten seconds, on top of what the ledger writer waits itself."""

CONTENDED_MAX_PAUSE_S: Final = 2.0

FREEZE_GONE: Final = Failure(
    code="freeze_expired", message="The credits set aside for this were released before it ended. Nothing is charged."
)

_log = structlog.stdlib.get_logger(__name__)


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an ending that is not credits."""

    generation_id: UUID
    account_id: UUID
    guard: Statement
    """Holds only while whoever settles still may."""
    end_epoch: int
    end_seq: int
    text: str
    ending: Ending
    frozen_microcredits: int
    prices: Prices
    artifacts: Sequence[dict[str, Any]] = ()
    structured: dict[str, Any] | None = None
    first_token_at_us: int | None = None
    figures: Figures = Figures()
    created_at_us: int | None = None
    """When it was admitted; `None` where the total time is of no interest."""
    settling_since_us: int = msgspec.field(default_factory=lambda: time.time_ns() // 1_000)
    calls: Sequence[Call] = ()
    writes: tuple[Statement, ...] = ()
    """What else is to be written with it or not at all."""


def guard_attempt(generation_id: UUID, account_id: UUID, *, attempt: int, status: GenerationStatus) -> Statement:
    """Return the guard of whoever holds this attempt."""
    parameters: dict[str, object] = {
        "id": generation_id,
        "account_id": account_id,
        "attempt": attempt,
        "status": int(status),
    }
    return sql.GUARD_ATTEMPT, parameters


def guard_dead_lease(generation_id: UUID, account_id: UUID, *, attempt: int) -> Statement:
    """Return the guard of whoever ends what a lost worker left behind."""
    parameters: dict[str, object] = {"id": generation_id, "account_id": account_id, "attempt": attempt}
    return sql.GUARD_DEAD_LEASE, parameters


async def finish_generation(database: Database, writer: LedgerWriter, finish: Finish) -> Terminal | None:
    """Settle a generation and make it terminal; `None` if someone else did, or may now.

    A second call, by this or another attempt, changes nothing: the command key is the generation's, and the row ends
    once.

    Raises:
        Contended: the database stayed away; nothing is known to be written, and it may be called again.
    """
    settlement = decide_settlement(
        finish.ending,
        account_id=finish.account_id,
        generation_id=finish.generation_id,
        frozen_microcredits=finish.frozen_microcredits,
        prices=finish.prices,
    )
    try:
        if not settlement.commands:
            return await _finish_alone(database, finish, settlement)
        return await _finish_with_ledger(database, writer, finish, settlement)
    except RiderRefused:
        _log.info("settlement_superseded", generation_id=str(finish.generation_id), epoch=finish.end_epoch)
        return None
    except (FreezeAlreadyResolved, FreezeNotFound, IdempotencyKeyReused) as refused:
        # Either another attempt settled it, then the guard says so; or its freeze expired under it, then it is free.
        _log.warning("settlement_refused", generation_id=str(finish.generation_id), code=refused.code)
        return await _finish_unpaid(database, finish)


async def _finish_with_ledger(
    database: Database, writer: LedgerWriter, finish: Finish, settlement: Settlement
) -> Terminal | None:
    rider = Rider(guard=finish.guard, writes=(_finish_statement(finish, settlement), *finish.writes))
    pause_s = CONTENDED_PAUSE_S
    for tries_left in reversed(range(CONTENDED_LIMIT)):
        try:
            outcomes = await writer.submit_unit(settlement.commands, riders=(rider,))
            break
        except Contended:
            if tries_left == 0:
                raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, CONTENDED_MAX_PAUSE_S)
    else:
        raise AssertionError("unreachable")
    if outcomes[0].replayed:
        # Settled before: by us, where the answer to the commit was lost, or by another attempt.
        state = (await terminal_of(database, [str(finish.generation_id)]))[str(finish.generation_id)]
        return state.terminal if state.epoch == finish.end_epoch else None
    charged = outcomes[1].event.amount_microcredits if len(outcomes) > 1 else 0
    return _terminal(finish, settlement, cost=settlement.confirmed_microcredits + charged)


async def _finish_alone(database: Database, finish: Finish, settlement: Settlement) -> Terminal | None:
    """End a generation the ledger has nothing to say about.

    Raises:
        RiderRefused: the guard does not hold.
    """
    async with database.connection() as connection:
        if await (await connection.execute(*finish.guard)).fetchone() is None:
            raise RiderRefused
        for statement in (_finish_statement(finish, settlement), *finish.writes):
            await connection.execute(*statement)
    return _terminal(finish, settlement, cost=settlement.confirmed_microcredits)


async def _finish_unpaid(database: Database, finish: Finish) -> Terminal | None:
    ending = msgspec.structs.replace(finish.ending, ended_as="failed", error=FREEZE_GONE)
    settlement = Settlement(
        status=GenerationStatus.failed, confirmed_microcredits=0, overage_microcredits=0, commands=()
    )
    try:
        return await _finish_alone(database, msgspec.structs.replace(finish, ending=ending), settlement)
    except RiderRefused:
        return None


def _terminal(finish: Finish, settlement: Settlement, *, cost: int) -> Terminal:
    ending, now_us = finish.ending, time.time_ns() // 1_000
    _log.info(
        "generation_ended",
        generation_id=str(finish.generation_id),
        account_id=str(finish.account_id),
        cost=format_credits(cost),
        shortfall=format_credits(settlement.confirmed_microcredits + settlement.overage_microcredits - cost),
        epoch=finish.end_epoch,
        **twelve_figures(
            finish.figures,
            ending,
            total_us=None if finish.created_at_us is None else now_us - finish.created_at_us,
            credit_us=now_us - finish.settling_since_us,
        ),
    )
    return Terminal(
        epoch=finish.end_epoch,
        end_seq=finish.end_seq,
        status=ending.ended_as,
        text=finish.text,
        text_length=len(finish.text),
        text_sha256=text_sha256(finish.text),
        usage=usage_numbers(ending.usage),
        cost_microcredits=cost,
        error=ending.error,
        artifacts=list(finish.artifacts),
        structured=finish.structured,
    )


def _finish_statement(finish: Finish, settlement: Settlement) -> Statement:
    ending, usage, figures = finish.ending, finish.ending.usage, finish.figures
    parameters: dict[str, object] = {
        "id": finish.generation_id,
        "account_id": finish.account_id,
        "overage_key": overage_key(finish.generation_id),
        "status": int(settlement.status),
        "partial": settlement.status is not GenerationStatus.completed and finish.text != "",
        "end_epoch": finish.end_epoch,
        "end_seq": finish.end_seq,
        "first_token_at": None if finish.first_token_at_us is None else from_us(finish.first_token_at_us),
        "confirmed": settlement.confirmed_microcredits,
        "overage": settlement.overage_microcredits,
        **usage_columns(usage),
        "usage_estimated": ending.usage_estimated,
        "finish_reason": ending.finish_reason,
        "error_code": None if ending.error is None else ending.error.code,
        "error_message": None if ending.error is None else storable(ending.error.message),
        "provider_message": None if ending.provider_message is None else storable(ending.provider_message),
        "served_model": figures.served_model,
        "served_provider": figures.served_provider,
        "fallback_used": figures.fallback_used,
        "cache_hit": figures.cache_hit,
        "database_us": figures.database_us,
        "cache_read_us": figures.cache_read_us,
        "settling_since": from_us(finish.settling_since_us),
        "provider_us": figures.provider_us,
        "cache_write_us": figures.cache_write_us,
        "artifacts": msgspec.json.encode(finish.artifacts) if finish.artifacts else None,
        "structured": None if finish.structured is None else msgspec.json.encode(finish.structured),
        "text": finish.text.encode(),
        "text_length": len(finish.text),
        "text_sha256": text_sha256(finish.text),
        "calls": encode_calls(finish.calls),
    }
    return sql.FINISH_GENERATION, parameters
