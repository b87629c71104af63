"""Payments, renewals, refunds and disputes told in any order, beside use and expiry: credits and books always add up.

The model knows only what was told: which payments are paid, and how far their refunds and disputes have come. From that
follows how many credits came in and how many went back, whatever the order in which it was told.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, Self
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ledger import errors
from ledger.database import Database
from ledger.events import FreezeConfirmed
from ledger.writer import LedgerWriter
from projections.chart import LedgerAccount
from projections.journal import JOURNAL
from projections.status import read_status
from projections.trial_balance import read_trial_balance
from tests.builders import NOW_US, SECOND_US, charge, confirm, expire_lot, freeze, open_account
from tests.ledger_state import check_account, check_everything
from tests.payments import CREDIT, dispute_of, paid, payments_in, place_order, refund_of
from tests.projected import MovableClock, bring_up
from workers.payments.catalogue.seed import seed_shop
from workers.payments.clawback import Taken, wanted
from workers.payments.facts import (
    DisputeFact,
    DisputeStatus,
    Fact,
    NotYet,
    PaymentFact,
    PaymentStatus,
    Period,
    RefundFact,
    RefundStatus,
)
from workers.payments.money import Money
from workers.payments.settling import settle

ALL: Final = 1_000 * CREDIT
PLUS: Final = 2_000 * CREDIT
PLUS_PRICE: Final = Money(1_499, "EUR")
MOST_PAYMENTS: Final = 6
MOST_PERIODS: Final = 4
DAY_US: Final = 86_400 * SECOND_US

places = st.integers(0, 10_000)
minors = st.sampled_from([1, 100, 333, 600, 999, 1_000])


class Platform:
    """What all examples share: a database, a writer on a clock that is moved, and a loop to run it all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = MovableClock(NOW_US)
        self.runner = asyncio.Runner()
        self.database = Database(url)
        self.writer = LedgerWriter(url, clock_us=self.clock)
        self.context = payments_in(self.database, self.writer)
        self.connection = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        self.runner.run(self.database.__aenter__())
        self.runner.run(self.writer.__aenter__())
        self.runner.run(seed_shop(self.database))
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.writer.__aexit__())
        self.runner.run(self.database.__aexit__())
        self.runner.close()
        self.connection.close()

    def tell(self, facts: Sequence[Fact]) -> None:
        """Tell all of these at once, and what was too early again after the others, as the inbox does."""

        async def too_early(fact: Fact) -> bool:
            try:
                await settle(self.context, "plain", fact)
            except NotYet:
                return True
            return False

        async def tell_all() -> None:
            left = facts
            for _ in range(2):
                early = await asyncio.gather(*(too_early(fact) for fact in left))
                left = [fact for fact, is_early in zip(left, early, strict=True) if is_early]

        self.runner.run(tell_all())


class Told:
    """What was told of one payment."""

    def __init__(self, payment: PaymentFact, brings: int = ALL, first: "Told | None" = None) -> None:
        self.payment = payment
        self.brings = brings
        self.first = first
        """Of a later period of a plan: its first one. Before that is told nobody knows what this is for."""
        self.is_paid = False
        self.refunds: dict[str, tuple[RefundStatus, int]] = {}
        self.dispute: DisputeStatus | None = None

    def note(self, fact: Fact) -> None:
        match fact:
            case PaymentFact():
                is_known = self.first is None or self.first.is_paid
                self.is_paid = self.is_paid or (fact.status is PaymentStatus.paid and is_known)
            case RefundFact():
                known, _ = self.refunds.get(fact.refund_id, (RefundStatus.pending, 0))
                self.refunds[fact.refund_id] = max(known, fact.status), fact.amount.minor
            case DisputeFact():
                self.dispute = max(self.dispute or DisputeStatus.opened, fact.status)
            case _:
                raise AssertionError(fact)

    @property
    def taken_back(self) -> int:
        """How many credits must have gone back by now."""
        if not self.is_paid:
            return 0
        refunded = sum(minor for status, minor in self.refunds.values() if status is not RefundStatus.failed)
        is_gone = self.dispute in {DisputeStatus.withdrawn, DisputeStatus.lost}
        price = self.payment.price.minor
        return sum(wanted(Taken(self.brings, price, refunded, price if is_gone else 0)).values())


class Payments(RuleBasedStateMachine):
    """One account that buys, uses, gives back, disputes and lets expire."""

    platform: ClassVar[Platform]

    def __init__(self) -> None:
        super().__init__()
        self.account_id: UUID = uuid4()
        self.told: dict[str, Told] = {}
        self.said: list[PaymentFact | RefundFact | DisputeFact] = []
        """Everything that the gateway has to say so far, whether or not it was told."""
        self.periods: list[Told] = []
        self.open_freezes: list[UUID] = []
        self.keys = 0
        self.platform.runner.run(self.platform.writer.submit(open_account(self.account_id)))

    def next_key(self) -> str:
        self.keys += 1
        return f"key {self.keys}"

    @precondition(lambda self: len(self.told) < MOST_PAYMENTS)
    @rule(expires=st.sampled_from([None, "1 day", "3 days"]))
    def somebody_pays(self, expires: str | None) -> None:
        order_id = place_order(self.platform.url, self.account_id, expires_after=expires)
        payment = paid(order_id, self.account_id, at_us=self.platform.clock.now_us)
        self.told[payment.payment_id] = Told(payment)
        self.said += [paid(order_id, payment_id=payment.payment_id, status=PaymentStatus.pending), payment]

    @precondition(lambda self: len(self.periods) < MOST_PERIODS)
    @rule()
    def a_plan_is_paid_for(self) -> None:
        number = len(self.periods)
        begins_us = NOW_US + number * 30 * DAY_US
        order_id = None
        if number == 0:
            order_id = place_order(
                self.platform.url, self.account_id, purpose="plan", product="plus", region="eu", credits=PLUS,
                amount_minor=PLUS_PRICE.minor, currency=PLUS_PRICE.currency,
            )  # fmt: skip
        payment = paid(
            order_id,
            self.account_id,
            price=PLUS_PRICE,
            at_us=begins_us,
            subscription_id=f"sub_{self.account_id}",
            period=Period(begins_us, begins_us + 30 * DAY_US),
        )
        told = Told(payment, PLUS, self.periods[0] if self.periods else None)
        self.periods.append(told)
        self.told[payment.payment_id] = told
        self.said.append(payment)

    @precondition(lambda self: bool(self.told))
    @rule(place=places, minor=minors, fails=st.booleans())
    def money_goes_back(self, place: int, minor: int, fails: bool) -> None:
        payment = list(self.told.values())[place % len(self.told)].payment
        refund = refund_of(payment, minor, RefundStatus.pending)
        end = RefundStatus.failed if fails else RefundStatus.succeeded
        self.said += [refund, refund_of(payment, minor, end, refund_id=refund.refund_id)]

    @precondition(lambda self: bool(self.told))
    @rule(place=places, won=st.booleans())
    def a_bank_wants_money_back(self, place: int, won: bool) -> None:
        payment = list(self.told.values())[place % len(self.told)].payment
        end = DisputeStatus.won if won else DisputeStatus.lost
        self.said += [dispute_of(payment, status) for status in (DisputeStatus.opened, DisputeStatus.withdrawn, end)]

    @precondition(lambda self: bool(self.told))
    @rule(place=places)
    def somebody_pays_what_was_not_asked_for(self, place: int) -> None:
        order_id = list(self.told.values())[place % len(self.told)].payment.order_id
        self.platform.tell([paid(order_id, price=Money(999, "USD")), paid(order_id, price=Money(1_000, "EUR"))])

    @precondition(lambda self: bool(self.said))
    @rule(seed=st.integers(0, 2**32), share=st.sampled_from([0.2, 0.5, 1.0]))
    def the_gateway_tells(self, seed: int, share: float) -> None:
        chance = random.Random(seed)
        facts = [fact for fact in self.said if chance.random() < share]
        facts += [fact for fact in facts if chance.random() < 0.3]
        chance.shuffle(facts)
        self.platform.tell(facts)
        for fact in sorted(facts, key=lambda fact: self.told[fact.payment_id].first is not None):
            self.told[fact.payment_id].note(fact)

    @rule(amount=st.sampled_from([1, 10 * CREDIT, 400 * CREDIT]))
    def something_is_used(self, amount: int) -> None:
        try:
            self.platform.runner.run(
                self.platform.writer.submit(charge(amount, self.account_id, command_key=self.next_key()))
            )
        except (errors.InsufficientCredits, errors.AccountInDebt):
            self.refused_for_a_reason(amount)

    @rule(amount=st.sampled_from([1, 250 * CREDIT]))
    def something_begins(self, amount: int) -> None:
        command = freeze(amount, self.account_id, command_key=self.next_key(), ttl_us=365 * DAY_US, freeze_id=uuid4())
        try:
            self.platform.runner.run(self.platform.writer.submit(command))
        except (errors.InsufficientCredits, errors.AccountInDebt):
            self.refused_for_a_reason(amount)
        else:
            self.open_freezes.append(command.freeze_id)

    @precondition(lambda self: bool(self.open_freezes))
    @rule(part=st.sampled_from([0, 1, None]))
    def something_ends(self, part: int | None) -> None:
        command = confirm(self.open_freezes.pop(), part, self.account_id, command_key=self.next_key())
        event = self.platform.runner.run(self.platform.writer.submit(command)).event
        assert isinstance(event.decoded_body(), FreezeConfirmed)

    @rule(days=st.sampled_from([1, 2]))
    def days_pass(self, days: int) -> None:
        self.platform.clock.now_us += days * DAY_US
        account = check_account(self.platform.connection, self.account_id)
        for number, lot in account.lots.items():
            if lot.remaining and lot.is_expired(self.platform.clock.now_us):
                command = expire_lot(number, self.account_id, command_key=f"expire {number} {self.next_key()}")
                self.platform.runner.run(self.platform.writer.submit(command))

    def refused_for_a_reason(self, amount: int) -> None:
        account = check_account(self.platform.connection, self.account_id)
        due = sum(lot.remaining for lot in account.lots.values() if lot.is_expired(self.platform.clock.now_us))
        assert account.available - due < amount

    @invariant()
    def everything_adds_up(self) -> None:
        account = check_account(self.platform.connection, self.account_id)
        assert account.credited == sum(told.brings for told in self.told.values() if told.is_paid)
        assert account.reversed == sum(told.taken_back for told in self.told.values())

    def teardown(self) -> None:
        check_everything(self.platform.url)


@pytest.fixture
def platform(database_url: str) -> Iterator[Platform]:
    with Platform(database_url) as platform:
        yield platform


def check_books(platform: Platform) -> None:
    """The journal takes every event, balances, and holds for credits what the ledger does."""
    platform.runner.run(bring_up(platform.database, JOURNAL))

    async def books() -> tuple[str, dict[tuple[LedgerAccount, str], int]]:
        async with platform.database.connection() as connection:
            state = next(build.state for build in await read_status(connection) if build.name == "journal")
            lines = await read_trial_balance(connection, build=0, seq=2**62)
        return state, {(line.account, line.commodity): line.balance for line in lines}

    state, balances = platform.runner.run(books())
    assert state == "current"
    for commodity in {commodity for _, commodity in balances}:
        assert sum(amount for (_, of), amount in balances.items() if of == commodity) == 0
    held = platform.connection.execute("SELECT sum(available) + sum(frozen) FROM accounts").fetchone()
    assert held is not None
    in_books = (LedgerAccount.credits_held, LedgerAccount.credits_owed)
    assert -sum(balances.get((account, "CREDIT"), 0) for account in in_books) == int(held[0])


def run_machine(platform: Platform, *, examples: int, steps: int) -> None:
    Payments.platform = platform
    run_state_machine_as_test(
        Payments,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    check_books(platform)


def test_whatever_is_told_credits_and_books_add_up(platform: Platform) -> None:
    run_machine(platform, examples=12, steps=25)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_whatever_is_told_credits_and_books_add_up_for_long(platform: Platform) -> None:
    run_machine(platform, examples=300, steps=60)
