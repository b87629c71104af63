"""The journal: every event that moves credits or money, entered in double entry by `journal_rules`."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import events, statements
from ledger.arrays import Int8Array, TextArray, UuidArray
from ledger.events import BODY_OF_KIND, Body, Kind, Portion
from projections.journal_lots import JournalLot
from projections.journal_policy import Policies, read_policies
from projections.journal_rules import WITHOUT_ENTRY, Line, Lots, Original, Posted, entry_of
from projections.periods import ClosedDays, read_closed_days
from projections.projection import Batch, Projection

sql: Final = statements.load("projections")

BATCH_LIMIT: Final = 5_000
EVENTS_AT_A_STRETCH: Final = 500
"""Others on the event loop, such as the sealer, have their turn in between: a stretch is about two milliseconds."""

DAY_US: Final = 24 * 60 * 60 * 1_000_000

_WITHOUT_ENTRY: Final = [int(kind) for kind in WITHOUT_ENTRY]
_DECODERS: Final = {int(kind): (kind, msgspec.json.Decoder(body).decode) for kind, body in BODY_OF_KIND.items()}


_Draws: TypeAlias = dict[int, tuple[Portion, ...]]
"""What freezes were drawn from, by the `seq` of the events that resolved them."""

_Originals: TypeAlias = dict[int, tuple[events.TopUpReversed, int]]
"""The reversals that events undo, by the `seq` of the reinstatement, each with its own."""


class PostedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the journal reads it; days are days since 1970-01-01."""

    account_id: UUID
    version: int
    kind: Kind
    amount: int
    body: Body
    seq: int
    recorded_day: int


class WrittenLine(NamedTuple):
    """One line of the journal, with the event that it is of."""

    seq: int
    line: int
    account_id: UUID
    version: int
    booked_day: int
    debit: int
    credit: int
    commodity: str
    amount: int
    lot: int


class Rules(NamedTuple):
    """What was decided about the journal."""

    policies: Policies
    closed: ClosedDays


class Known(NamedTuple):
    """What entries depend on beside their own events and lots."""

    rules: Rules
    draws: _Draws
    originals: _Originals


async def apply(connection: AsyncConnection[Any], batch: Batch) -> None:
    """Enter a batch of events.

    Raises:
        ValueError, KeyError, AssertionError: an event is of an unknown kind, or contradicts earlier ones.
        UnreadablePayment: an event says what was paid in a way that is not money.
    """
    cursor = await batch.execute(connection, sql.READ_JOURNAL_EVENTS, {"without_entry": _WITHOUT_ENTRY})
    read = [_decoded(row) for row in await cursor.fetchall()]
    if not read:
        return
    known = await read_known(connection, await read_rules(connection), read)
    lots = await _load_lots(connection, batch.build, _lots_named(read, known))
    written: list[WrittenLine] = []
    for place in range(0, len(read), EVENTS_AT_A_STRETCH):
        for event in read[place : place + EVENTS_AT_A_STRETCH]:
            booked_day, lines = enter(event, lots[event.account_id], known)
            written += [
                WrittenLine(event.seq, number, event.account_id, event.version, booked_day, *line)
                for number, line in enumerate(lines, start=1)
            ]
        await asyncio.sleep(0)
    await _save(connection, batch.build, written, [lot for held in lots.values() for lot in held.values()])


async def read_rules(connection: AsyncConnection[Any]) -> Rules:
    """Read what was decided about the journal, up to now."""
    return Rules(await read_policies(connection), await read_closed_days(connection))


async def read_known(connection: AsyncConnection[Any], rules: Rules, read: Sequence[PostedEvent]) -> Known:
    """Read what the entries of these events depend on."""
    return Known(rules, await _freeze_draws(connection, read), await _originals(connection, read))


def enter(event: PostedEvent, lots: Lots, known: Known) -> tuple[int, list[Line]]:
    """Make the lines of one event, and bring the lots of its account up to date in place; return its day, and them.

    Raises:
        ValueError, KeyError, AssertionError, UnreadablePayment: see `apply`.
    """
    policies, closed = known.rules
    original = known.originals.get(event.seq)
    posted = Posted(
        event.account_id,
        event.version,
        event.kind,
        event.amount,
        event.body,
        policies.at(event.seq),
        known.draws.get(event.seq, ()),
        None if original is None else Original(original[0], policies.at(original[1])),
    )
    effective_us = event.body.effective_at_us
    effective_day = event.recorded_day if effective_us is None else effective_us // DAY_US
    booked_day = closed.booked_day(event.seq, recorded_day=event.recorded_day, effective_day=effective_day)
    return booked_day, entry_of(lots, posted)


def _decoded(row: Sequence[Any]) -> PostedEvent:
    account_id, version, number, amount, body, seq, recorded_day = row
    if number not in _DECODERS:
        raise ValueError(f"an event of unknown kind {number}: it needs a newer version")
    kind, decode = _DECODERS[number]
    return PostedEvent(account_id, version, kind, amount, decode(body), seq, recorded_day)


async def _freeze_draws(connection: AsyncConnection[Any], read: Iterable[PostedEvent]) -> _Draws:
    """What the freezes were drawn from that paid a debt when they were resolved: rare, and nowhere else to be seen."""
    paid = {
        (event.account_id, event.body.freeze_id): event
        for event in read
        if isinstance(event.body, events.FreezeConfirmed | events.FreezeRolledBack)
        and event.body.debt_paid_microcredits
    }
    if not paid:
        return {}
    parameters = {
        "account_ids": UuidArray.of([account_id for account_id, _ in paid]),
        "freeze_ids": UuidArray.of([freeze_id for _, freeze_id in paid]),
        "versions": Int8Array.of([event.version for event in paid.values()]),
    }
    draws: _Draws = {}
    for account_id, freeze_id, body in await (await connection.execute(sql.READ_FREEZE_DRAWS, parameters)).fetchall():
        opening = msgspec.json.decode(body, type=events.CreditsFrozen)
        draws[paid[account_id, freeze_id].seq] = opening.draws
    return draws


async def _originals(connection: AsyncConnection[Any], read: Iterable[PostedEvent]) -> _Originals:
    undone = {
        (event.account_id, event.body.reversal_version): event.seq
        for event in read
        if isinstance(event.body, events.ReversalReinstated)
    }
    if not undone:
        return {}
    parameters = {
        "account_ids": UuidArray.of([account_id for account_id, _ in undone]),
        "versions": Int8Array.of([version for _, version in undone]),
    }
    rows = await (await connection.execute(sql.READ_ORIGINAL_REVERSALS, parameters)).fetchall()
    return {
        undone[account_id, version]: (msgspec.json.decode(body, type=events.TopUpReversed), seq)
        for account_id, version, body, seq in rows
    }


def _lots_named(read: Iterable[PostedEvent], known: Known) -> set[tuple[UUID, int]]:
    named: set[tuple[UUID, int]] = set()
    for event in read:
        account_id, body = event.account_id, event.body
        for portions in (
            getattr(body, "draws", ()), getattr(body, "returned", ()), getattr(body, "expired", ()),
            known.draws.get(event.seq, ()),
        ):  # fmt: skip
            for number, _ in portions:
                named.add((account_id, number))
        number = getattr(body, "lot_number", None)
        if number is not None:
            named.add((account_id, number))
        if event.seq in known.originals:
            named.add((account_id, known.originals[event.seq][0].lot_number))
    return named


async def _load_lots(
    connection: AsyncConnection[Any], build: int, named: set[tuple[UUID, int]]
) -> defaultdict[UUID, Lots]:
    lots: defaultdict[UUID, Lots] = defaultdict(dict)
    if not named:
        return lots
    wanted = list(named)
    parameters = {
        "build": build,
        "account_ids": UuidArray.of([account_id for account_id, _ in wanted]),
        "numbers": Int8Array.of([number for _, number in wanted]),
    }
    async for row in await connection.execute(sql.READ_JOURNAL_LOTS, parameters, binary=True):
        account_id, number, is_bought, currency, unit, paid, amount, held, reversed_, expired, *money = row
        lots[account_id][number] = JournalLot(
            account_id, number, is_bought, currency, unit, int(paid), amount, held, reversed_, expired, *map(int, money)
        )
    return lots


async def _save(
    connection: AsyncConnection[Any], build: int, written: Sequence[WrittenLine], lots: Sequence[JournalLot]
) -> None:
    if written:
        seqs, lines, account_ids, versions, booked_days, debits, credited, commodities, amounts, numbers = zip(
            *written, strict=True
        )
        columns = {
            "build": build,
            "seqs": Int8Array.of(seqs),
            "lines": Int8Array.of(lines),
            "account_ids": UuidArray.of(account_ids),
            "versions": Int8Array.of(versions),
            "booked_days": Int8Array.of(booked_days),
            "debits": Int8Array.of(debits),
            "credits": Int8Array.of(credited),
            "commodities": TextArray.of(commodities),
            "amounts": Int8Array.of(amounts),
            "lots": Int8Array.of(numbers),
        }
        await connection.execute(sql.INSERT_JOURNAL_LINES, columns)
    if lots:
        await connection.execute(sql.UPSERT_JOURNAL_LOTS, {"build": build, **_lot_columns(lots)})


def _lot_columns(lots: Sequence[JournalLot]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([lot.account_id for lot in lots]),
        "numbers": Int8Array.of([lot.number for lot in lots]),
        "are_bought": Int8Array.of([int(lot.is_bought) for lot in lots]),
        "currencies": TextArray.of([lot.currency for lot in lots]),
        "units": Int8Array.of([lot.unit for lot in lots]),
        "paids": TextArray.of([str(lot.paid) for lot in lots]),
        "amounts": Int8Array.of([lot.amount for lot in lots]),
        "helds": Int8Array.of([lot.held for lot in lots]),
        "reverseds": Int8Array.of([lot.reversed for lot in lots]),
        "expireds": Int8Array.of([lot.expired for lot in lots]),
        "deferreds": TextArray.of([str(lot.expired_deferred) for lot in lots]),
        "recogniseds": TextArray.of([str(lot.expired_recognised) for lot in lots]),
    }


JOURNAL: Final = Projection("journal", apply, BATCH_LIMIT)
