"""Histories of accounts to project, and the projections brought up to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final
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


PAYMENTS: Final = [("9.99", "USD"), ("1000", "JPY"), ("0.01", "EUR"), ("", ""), ("3.125", "KWD")]


class Life:
    """One account that lives through anything that can happen to it: lots that expire, payments that go back.

    A poor one spends nearly all it gets, so that reversals make it owe credits.
    """

    def __init__(self, writer: LedgerWriter, clock: MovableClock, chance: random.Random, *, poor: bool) -> None:
        self._writer = writer
        self._clock = clock
        self._chance = chance
        self._spending = 6 if poor else 1
        self._account_id = uuid4()
        self._lots: list[int] = []
        self._freezes: list[UUID] = []
        self._reversals: list[int] = []

    async def open(self) -> UUID:
        return await opened(self._writer, self._account_id)

    async def live(self, steps: int) -> None:
        for _ in range(steps):
            self._clock.now_us += self._chance.randint(0, 3) * SECOND_US
            try:
                event = await submit(self._writer, self._any_command())
            except Refused:
                continue
            self._remember(event)

    def _remember(self, event: Event) -> None:
        body = event.decoded_body()
        if event.kind is Kind.credits_topped_up:
            self._lots.append(event.version)
        elif event.kind is Kind.top_up_reversed:
            self._reversals.append(event.version)
        elif isinstance(body, CreditsFrozen):
            self._freezes.append(body.freeze_id)

    def _any_command(self) -> Command:
        chances: dict[Callable[[], Command], int] = {self._top_up: 8, self._grant: 3, self._freeze: 25, self._charge: 8}
        chances[self._adjust] = 4
        if self._freezes:
            chances |= {self._confirm: 16, self._rollback: 8}
        if self._lots:
            chances |= {self._reverse: 5, self._expire: 3}
        if self._reversals:
            chances |= {self._reinstate: 4}
        return self._chance.choices(list(chances), list(chances.values()))[0]()

    def _top_up(self) -> Command:
        paid, currency = self._chance.choice(PAYMENTS)
        return top_up(
            self._chance.randint(1, 9_000_000),
            self._account_id,
            paid_amount=paid,
            paid_currency=currency,
            expires_at_us=self._expiry(),
            priority=self._chance.choice([100, 100, 50]),
            effective_at_us=self._chance.choice([None, None, self._clock.now_us - 40 * 86_400 * SECOND_US]),
        )

    def _grant(self) -> Command:
        return grant(self._chance.randint(1, 4_000_000), self._account_id, expires_at_us=self._expiry())

    def _freeze(self) -> Command:
        amount = self._chance.randint(1, 2_500_000) * self._spending
        return freeze(amount, self._account_id, reference="a job")

    def _confirm(self) -> Command:
        amount = self._chance.choice([None, None, 0, 1, 3])
        return confirm(self._any_freeze(), amount, self._account_id)

    def _rollback(self) -> Command:
        return rollback(self._any_freeze(), self._account_id)

    def _charge(self) -> Command:
        amount = self._chance.randint(1, 3_000_000) * self._spending
        return charge(amount, self._account_id, reference="one-step", at_most=self._chance.random() < 0.5)

    def _adjust(self) -> Command:
        amount = self._chance.randint(-2_000_000, 2_000_000) or 1
        return adjust(amount, self._account_id, allow_negative=self._chance.random() < 0.3)

    def _reverse(self) -> Command:
        amount = self._chance.randint(1, 5_000_000)
        reason = self._chance.choice(["refund", "chargeback"])
        return reverse(self._chance.choice(self._lots), amount, self._account_id, reason=reason)

    def _reinstate(self) -> Command:
        return reinstate(self._chance.choice(self._reversals), self._account_id)

    def _expire(self) -> Command:
        keep = self._chance.choice([0, self._chance.randint(1, 2_000_000)])
        return expire_lot(self._chance.choice(self._lots), self._account_id, keep_microcredits=keep)

    def _any_freeze(self) -> UUID:
        return self._freezes.pop(self._chance.randrange(len(self._freezes)))

    def _expiry(self) -> int | None:
        return self._chance.choice([None, None, self._clock.now_us + self._chance.randint(1, 40) * SECOND_US])


async def lives(writer: LedgerWriter, clock: MovableClock, *, seed: int, accounts: int, steps: int) -> list[UUID]:
    """Have accounts live their lives by turns, every other one a poor one; the same ones for the same seed."""
    chance = random.Random(seed)
    them = [Life(writer, clock, chance, poor=number % 2 == 1) for number in range(accounts)]
    ids = [await life.open() for life in them]
    for _ in range(5):
        for life in them:
            await life.live(steps // 5)
    return ids
