"""Histories of accounts to project, and the projections brought up to them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import UUID, uuid4

from ledger.commands import Command
from ledger.database import Database
from ledger.errors import Refused
from ledger.events import CreditsFrozen, Event, Kind
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from projections.projection import Projection
from projections.runner import advance_active
from tests.builders import (
    SECOND_US,
    adjust,
    charge,
    confirm,
    expire_lot,
    freeze,
    grant,
    open_account,
    reinstate,
    reverse,
    rollback,
    top_up,
)


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


async def seal_all(database: Database) -> None:
    async with database.connection() as connection:
        while await seal(connection):
            pass


async def bring_up(database: Database, *projections: Projection) -> None:
    """Seal everything, and project it until nothing is left."""
    await seal_all(database)
    for projection in projections:
        while await advance_active(database, projection):
            pass


async def opened(writer: LedgerWriter, account_id: UUID | None = None) -> UUID:
    account_id = account_id or uuid4()
    await writer.submit(open_account(account_id))
    return account_id


async def submit(writer: LedgerWriter, command: Command) -> Event:
    return (await writer.submit(command)).event


async def frozen(writer: LedgerWriter, account_id: UUID, amount: int) -> UUID:
    body = (await submit(writer, freeze(amount, account_id))).decoded_body()
    assert isinstance(body, CreditsFrozen)
    return body.freeze_id


async def live(
    writer: LedgerWriter, clock: MovableClock, account_id: UUID, *, steps: int, chance: random.Random
) -> None:
    """Have an account live through anything that can happen to it, with lots that expire and payments that go back."""
    lots: list[int] = []
    freezes: list[UUID] = []
    reversals: list[int] = []
    for _ in range(steps):
        clock.now_us += chance.randint(0, 3) * SECOND_US
        command = _any_command(clock, account_id, lots=lots, freezes=freezes, reversals=reversals, chance=chance)
        try:
            event = await submit(writer, command)
        except Refused:
            continue
        if event.kind is Kind.credits_topped_up:
            lots.append(event.version)
        elif event.kind is Kind.top_up_reversed:
            reversals.append(event.version)
        elif event.kind is Kind.credits_frozen:
            body = event.decoded_body()
            assert isinstance(body, CreditsFrozen)
            freezes.append(body.freeze_id)


def _any_command(
    clock: MovableClock,
    account_id: UUID,
    *,
    lots: Sequence[int],
    freezes: list[UUID],
    reversals: list[int],
    chance: random.Random,
) -> Command:
    expires_at_us = chance.choice([None, None, clock.now_us + chance.randint(1, 40) * SECOND_US])
    kind = chance.choices(
        ["top_up", "grant", "freeze", "confirm", "rollback", "charge", "adjust", "reverse", "reinstate", "expire"],
        weights=[8, 4, 30, 22, 8, 8, 4, 4, 3, 3],
    )[0]
    if kind in {"confirm", "rollback"} and freezes:
        freeze_id = freezes.pop(chance.randrange(len(freezes)))
        if kind == "rollback":
            return rollback(freeze_id, account_id)
        return confirm(freeze_id, chance.choice([None, 0, 1, 3]), account_id)
    if kind == "charge":
        return charge(chance.randint(1, 3_000_000), account_id, reference="one-step", at_most=chance.random() < 0.5)
    if kind == "adjust":
        return adjust(chance.randint(-2_000_000, 2_000_000) or 1, account_id, allow_negative=chance.random() < 0.3)
    if kind == "reverse" and lots:
        reason = chance.choice(["refund", "chargeback"])
        return reverse(chance.choice(lots), chance.randint(1, 5_000_000), account_id, reason=reason)
    if kind == "reinstate" and reversals:
        return reinstate(chance.choice(reversals), account_id)
    if kind == "expire" and lots:
        return expire_lot(chance.choice(lots), account_id)
    if kind == "grant":
        return grant(chance.randint(1, 4_000_000), account_id, expires_at_us=expires_at_us)
    if kind == "freeze":
        return freeze(chance.randint(1, 2_500_000), account_id, reference="a job")
    paid, currency = chance.choice([("9.99", "USD"), ("1000", "JPY"), ("0.01", "EUR"), ("", ""), ("3.125", "KWD")])
    return top_up(
        chance.randint(1, 9_000_000),
        account_id,
        paid_amount=paid,
        paid_currency=currency,
        expires_at_us=expires_at_us,
        priority=chance.choice([100, 100, 50]),
    )
