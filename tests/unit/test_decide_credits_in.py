"""Opening, top-ups, grants and adjustments upwards."""

from typing import Any

import pytest

from ledger import errors
from ledger.account import Account, evolve
from ledger.amounts import MAX_AMOUNT_MICROCREDITS, MAX_TOTAL_MICROCREDITS
from ledger.commands import Command
from ledger.decide import decide
from ledger.events import AccountOpened, CreditsAdjusted, CreditsGranted, CreditsToppedUp, Kind
from ledger.lots import Origin
from tests.builders import (
    ACCOUNT_ID,
    LOT_ID,
    NOW_US,
    account_after,
    adjust,
    applied,
    charge,
    confirm,
    expire_freeze,
    expire_lot,
    freeze,
    grant,
    open_account,
    reinstate,
    reverse,
    rollback,
    top_up,
)

BRINGING_IN: Any = pytest.mark.parametrize("bring_in", [top_up, grant, adjust])


def test_opening_makes_an_empty_account_that_knows_its_owner() -> None:
    decision = decide(Account(ACCOUNT_ID), open_account(owner="ann", name="Ann", actor="key:1"), now_us=NOW_US)

    assert decision.kind is Kind.account_opened
    assert decision.amount == 0
    assert decision.body == AccountOpened(actor="key:1", owner="ann", name="Ann")


@pytest.mark.parametrize(
    "command",
    [
        top_up(1), grant(1), adjust(1), adjust(-1, allow_negative=True), charge(1), charge(1, at_most=True), freeze(1),
        confirm(LOT_ID), rollback(LOT_ID), expire_freeze(LOT_ID), expire_lot(2), reverse(2, 1), reinstate(2),
    ],
    ids=lambda command: type(command).__name__,
)  # fmt: skip
def test_nothing_but_opening_happens_to_an_account_that_is_not_open(command: Command) -> None:
    with pytest.raises(errors.AccountNotFound) as refused:
        decide(Account(ACCOUNT_ID), command, now_us=NOW_US)

    assert refused.value.account_id == ACCOUNT_ID


def test_a_top_up_becomes_a_lot_numbered_by_its_event() -> None:
    command = top_up(
        500,
        lot_id=LOT_ID,
        source="stripe",
        priority=7,
        expires_at_us=NOW_US + 1,
        paid_amount="5.00",
        paid_currency="EUR",
    )

    account = account_after(command)

    lot = account.lots[2]
    assert (lot.id, lot.origin, lot.source, lot.priority) == (LOT_ID, Origin.top_up, "stripe", 7)
    assert (lot.amount, lot.remaining, lot.expires_at_us) == (500, 500, NOW_US + 1)
    assert (lot.paid_amount, lot.paid_currency) == ("5.00", "EUR")
    assert (account.available, account.credited, account.version) == (500, 500, 2)


def test_a_top_up_records_what_was_paid_and_when_it_took_effect() -> None:
    command = top_up(5, reference="pi_1", effective_at_us=NOW_US - 9, actor="key:1", lot_id=LOT_ID)

    decision = decide(account_after(), command, now_us=NOW_US)

    assert decision.body == CreditsToppedUp(
        actor="key:1", effective_at_us=NOW_US - 9, lot_id=LOT_ID, source="top_up", priority=100, reference="pi_1"
    )


def test_a_grant_becomes_a_lot_of_its_own_origin() -> None:
    account = account_after(grant(500, lot_id=LOT_ID, priority=7, expires_at_us=NOW_US + 1))

    lot = account.lots[2]
    assert (lot.id, lot.origin, lot.source, lot.priority) == (LOT_ID, Origin.grant, "grant", 7)
    assert (lot.amount, lot.remaining, lot.expires_at_us) == (500, 500, NOW_US + 1)


def test_a_grant_records_its_reason() -> None:
    decision = decide(account_after(), grant(5, reason="sorry", lot_id=LOT_ID), now_us=NOW_US)

    assert decision.body == CreditsGranted(lot_id=LOT_ID, priority=100, reason="sorry")


def test_an_adjustment_upwards_becomes_a_lot_that_does_not_expire() -> None:
    command = adjust(500, lot_id=LOT_ID, reason="recount")

    decision = decide(account_after(), command, now_us=NOW_US)
    account = account_after(command)

    assert decision.body == CreditsAdjusted(reason="recount", lot_id=LOT_ID, priority=100)
    lot = account.lots[2]
    assert (lot.origin, lot.amount, lot.remaining, lot.expires_at_us) == (Origin.adjustment, 500, 500, None)
    assert (account.available, account.credited) == (500, 500)


@BRINGING_IN
def test_the_largest_amount_comes_in_and_one_microcredit_more_is_refused(bring_in: Any) -> None:
    account = account_after()

    assert decide(account, bring_in(MAX_AMOUNT_MICROCREDITS), now_us=NOW_US).amount == 2**60
    with pytest.raises(errors.InvalidAmount):
        decide(account, bring_in(MAX_AMOUNT_MICROCREDITS + 1), now_us=NOW_US)


@pytest.mark.parametrize("amount", [0, -1, -(2**60), 2**63, -(2**63), 2**200])
@pytest.mark.parametrize("bring_in", [top_up, grant])
def test_an_amount_that_is_not_positive_or_too_large_is_refused(bring_in: Any, amount: int) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(account_after(), bring_in(amount), now_us=NOW_US)


@BRINGING_IN
def test_the_lifetime_total_is_reached_exactly_and_not_passed(bring_in: Any) -> None:
    account = account_after(*[top_up(MAX_AMOUNT_MICROCREDITS) for _ in range(3)], top_up(MAX_AMOUNT_MICROCREDITS - 1))
    assert account.credited == MAX_TOTAL_MICROCREDITS - 1

    with pytest.raises(errors.BalanceLimitExceeded):
        decide(account, bring_in(2), now_us=NOW_US)
    applied(account, [bring_in(1)])
    assert account.credited == MAX_TOTAL_MICROCREDITS
    with pytest.raises(errors.BalanceLimitExceeded):
        decide(account, bring_in(1), now_us=NOW_US)


def test_spending_does_not_make_room_below_the_lifetime_total() -> None:
    account = account_after(*[top_up(MAX_AMOUNT_MICROCREDITS) for _ in range(4)], charge(MAX_AMOUNT_MICROCREDITS))

    with pytest.raises(errors.BalanceLimitExceeded):
        decide(account, top_up(1), now_us=NOW_US)


@BRINGING_IN
@pytest.mark.parametrize(
    ("amount", "available", "remaining", "debt_paid"),
    [(29, -1, 0, 29), (30, 0, 0, 30), (31, 1, 1, 30)],
)
def test_what_the_account_owes_is_paid_first(
    bring_in: Any, amount: int, available: int, remaining: int, debt_paid: int
) -> None:
    account = account_after(adjust(-30, allow_negative=True))

    decision = decide(account, bring_in(amount), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert account.available == available
    assert account.lots[3].remaining == remaining
    assert account.lots[3].amount == amount
    body: Any = decision.body
    assert body.debt_paid_microcredits == debt_paid
