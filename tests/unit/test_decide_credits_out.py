"""Charges, adjustments downwards, lot expiry, reversals of top-ups and their reinstatement."""

from uuid import uuid4

import pytest

from ledger import errors
from ledger.account import evolve
from ledger.amounts import MAX_AMOUNT_MICROCREDITS, MAX_TOTAL_MICROCREDITS
from ledger.decide import decide
from ledger.events import CreditsAdjusted, CreditsCharged, CreditsExpired, Kind, ReversalReinstated, TopUpReversed
from ledger.lots import Origin
from tests.builders import (
    FREEZE_ID,
    LOT_ID,
    NOW_US,
    account_after,
    adjust,
    applied,
    charge,
    confirm,
    expire_lot,
    freeze,
    grant,
    reinstate,
    reverse,
    rollback,
    top_up,
)


def test_charge_spends_at_once() -> None:
    account = account_after(top_up(500))

    decision = decide(account, charge(200, reference="job"), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.credits_charged, 200)
    assert decision.body == CreditsCharged(draws=((2, 200),), reference="job")
    assert (account.available, account.spent, account.lots[2].remaining) == (300, 200, 300)


def test_charge_takes_the_last_microcredit_and_refuses_one_more() -> None:
    account = account_after(top_up(500))

    assert decide(account, charge(500), now_us=NOW_US).amount == 500
    with pytest.raises(errors.InsufficientCredits) as refused:
        decide(account, charge(501), now_us=NOW_US)

    assert (refused.value.required_microcredits, refused.value.available_microcredits) == (501, 500)


@pytest.mark.parametrize(("amount", "taken", "shortfall"), [(499, 499, 0), (500, 500, 0), (501, 500, 1)])
def test_charge_at_most_takes_what_is_there_and_records_the_shortfall(amount: int, taken: int, shortfall: int) -> None:
    account = account_after(top_up(500))

    decision = decide(account, charge(amount, at_most=True), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert decision.amount == taken
    assert decision.body == CreditsCharged(draws=((2, taken),), shortfall_microcredits=shortfall)
    assert (account.available, account.spent) == (500 - taken, taken)


@pytest.mark.parametrize("owed", [0, 7])
def test_charge_at_most_of_an_empty_or_indebted_account_takes_nothing(owed: int) -> None:
    account = account_after(top_up(1), charge(1))
    if owed:
        applied(account, [adjust(-owed, allow_negative=True)])

    decision = decide(account, charge(10, at_most=True), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert decision.amount == 0
    assert decision.body == CreditsCharged(shortfall_microcredits=10)
    assert account.available == -owed


def test_charge_leaves_frozen_credits_alone() -> None:
    account = account_after(top_up(100), freeze(60))

    assert decide(account, charge(99, at_most=True), now_us=NOW_US).amount == 40
    with pytest.raises(errors.InsufficientCredits):
        decide(account, charge(41), now_us=NOW_US)


def test_charge_is_refused_while_the_account_owes_credits() -> None:
    with pytest.raises(errors.AccountInDebt):
        decide(account_after(adjust(-1, allow_negative=True)), charge(1), now_us=NOW_US)


@pytest.mark.parametrize("at_most", [False, True])
@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MICROCREDITS + 1])
def test_charge_refuses_an_amount_that_is_none(amount: int, at_most: bool) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(account_after(top_up(5)), charge(amount, at_most=at_most), now_us=NOW_US)


def test_ten_thousand_charges_of_four_ten_thousandths_cost_exactly_four_credits() -> None:
    account = account_after(top_up(4_000_000), *[charge(400) for _ in range(10_000)])

    assert (account.spent, account.available) == (4_000_000, 0)


def test_ten_thousand_confirms_of_four_ten_thousandths_cost_exactly_four_credits() -> None:
    account = account_after(top_up(5_000_000))
    for _ in range(10_000):
        freeze_id = uuid4()
        applied(account, [freeze(1_000, freeze_id=freeze_id), confirm(freeze_id, 400)])

    assert (account.spent, account.available, account.frozen) == (4_000_000, 1_000_000, 0)


def test_adjustment_downwards_takes_from_lots_and_counts_against_what_came_in() -> None:
    account = account_after(top_up(100), grant(10))

    decision = decide(account, adjust(-30), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert decision.amount == -30
    assert decision.body == CreditsAdjusted(reason="correction", draws=((3, 10), (2, 20)))
    assert (account.available, account.credited, account.spent) == (80, 80, 0)


def test_adjustment_ends_below_zero_only_by_override() -> None:
    account = account_after(top_up(100))

    assert decide(account, adjust(-100), now_us=NOW_US).amount == -100
    with pytest.raises(errors.InsufficientCredits):
        decide(account, adjust(-101), now_us=NOW_US)
    applied(account, [adjust(-101, allow_negative=True)])

    assert (account.available, account.lots[2].remaining) == (-1, 0)
    with pytest.raises(errors.InsufficientCredits):
        decide(account, adjust(-1), now_us=NOW_US)


@pytest.mark.parametrize("amount", [0, MAX_AMOUNT_MICROCREDITS + 1, -MAX_AMOUNT_MICROCREDITS - 1])
def test_adjustment_refuses_an_amount_that_is_none(amount: int) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(account_after(), adjust(amount, allow_negative=True), now_us=NOW_US)


def test_overrides_go_down_to_the_limit_and_not_past_it() -> None:
    account = account_after(*[adjust(-MAX_AMOUNT_MICROCREDITS, allow_negative=True) for _ in range(4)])
    assert account.available == -MAX_TOTAL_MICROCREDITS

    with pytest.raises(errors.BalanceLimitExceeded):
        decide(account, adjust(-1, allow_negative=True), now_us=NOW_US)


def test_a_lot_expires_at_its_time_with_all_that_remains() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), charge(30))

    with pytest.raises(errors.LotNotExpirable):
        decide(account, expire_lot(2), now_us=NOW_US)
    decision = decide(account, expire_lot(2), now_us=NOW_US + 1)
    evolve(account, decision, recorded_at_us=NOW_US + 1)

    assert (decision.kind, decision.amount) == (Kind.credits_expired, 70)
    assert decision.body == CreditsExpired(lot_number=2)
    assert (account.available, account.expired) == (0, 70)
    assert (account.lots[2].remaining, account.lots[2].expired) == (0, 70)
    with pytest.raises(errors.LotNotExpirable):
        decide(account, expire_lot(2), now_us=NOW_US + 1)


def test_a_lot_without_expiry_or_without_credits_or_that_is_none_cannot_expire() -> None:
    account = account_after(top_up(5), top_up(5, expires_at_us=NOW_US + 1, priority=1), charge(5))

    for lot_number in (2, 3):
        with pytest.raises(errors.LotNotExpirable):
            decide(account, expire_lot(lot_number), now_us=2**62)
    for no_lot in (0, 1, 4, 99, -1):
        with pytest.raises(errors.LotNotFound):
            decide(account, expire_lot(no_lot), now_us=2**62)


def test_what_a_lot_has_beyond_the_credits_to_keep_expires_before_its_time() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), grant(50), freeze(20), charge(10))

    decision = decide(account, expire_lot(2, keep_microcredits=25), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.credits_expired, 45)
    assert decision.body == CreditsExpired(lot_number=2, kept_microcredits=25)
    lot = account.lots[2]
    assert (lot.remaining, lot.frozen, lot.expired) == (25, 20, 45)
    assert (account.available, account.frozen, account.expired) == (75, 20, 45)


def test_credits_to_keep_are_counted_to_the_microcredit() -> None:
    account = account_after(top_up(100))

    for keep in (100, 101):
        with pytest.raises(errors.LotNotExpirable):
            decide(account, expire_lot(2, keep_microcredits=keep), now_us=NOW_US)
    assert decide(account, expire_lot(2, keep_microcredits=99), now_us=NOW_US).amount == 1
    for keep in (-1, MAX_AMOUNT_MICROCREDITS + 1):
        with pytest.raises(errors.InvalidAmount):
            decide(account, expire_lot(2, keep_microcredits=keep), now_us=NOW_US)


def test_nothing_is_kept_of_a_lot_whose_time_is_over() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1))

    decision = decide(account, expire_lot(2, keep_microcredits=60), now_us=NOW_US + 1)

    assert (decision.amount, decision.body) == (100, CreditsExpired(lot_number=2))


def test_what_was_kept_is_spent_expires_and_is_reversed_as_any_lot() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), expire_lot(2, keep_microcredits=60), charge(10))
    applied(account, [expire_lot(2, keep_microcredits=40)])
    assert (account.available, account.expired, account.spent) == (40, 50, 10)

    decision = decide(account, reverse(2, 100), now_us=NOW_US)
    assert decision.body == TopUpReversed(
        lot_number=2, draws=((2, 40),), already_expired_microcredits=50, debt_microcredits=10
    )

    applied(account, [expire_lot(2)], now_us=NOW_US + 1)
    assert (account.available, account.expired) == (0, 90)


def test_reversal_takes_unspent_credits_back_from_their_own_lot_first() -> None:
    account = account_after(top_up(100), grant(50))

    decision = decide(account, reverse(2, 60, reason="refund"), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.top_up_reversed, 60)
    assert decision.body == TopUpReversed(lot_number=2, draws=((2, 60),), reason="refund")
    assert (account.available, account.reversed) == (90, 60)
    assert (account.lots[2].remaining, account.lots[2].reversed) == (40, 60)


def test_reversal_of_spent_credits_takes_from_other_lots_and_then_becomes_debt() -> None:
    account = account_after(top_up(100), charge(80), grant(50))

    decision = decide(account, reverse(2, 100), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    # The charge drew on the only lot there was: 20 remain of it.
    assert decision.body == TopUpReversed(lot_number=2, draws=((2, 20), (4, 50)), debt_microcredits=30)
    assert (account.available, account.reversed, account.spent) == (-30, 100, 80)


def test_reversal_counts_what_expired_of_the_lot_before_it_touches_others() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), charge(10), grant(50))
    applied(account, [expire_lot(2)], now_us=NOW_US + 1)
    assert account.expired == 90

    decision = decide(account, reverse(2, 95), now_us=NOW_US + 1)
    evolve(account, decision, recorded_at_us=NOW_US + 1)

    assert decision.body == TopUpReversed(lot_number=2, draws=((4, 5),), already_expired_microcredits=90)
    assert (account.available, account.expired, account.reversed) == (45, 0, 95)


def test_reversals_of_a_top_up_together_take_back_all_of_it_and_not_one_microcredit_more() -> None:
    account = account_after(top_up(100), top_up(100), reverse(2, 40))

    with pytest.raises(errors.AmountExceedsLot) as refused:
        decide(account, reverse(2, 61), now_us=NOW_US)
    applied(account, [reverse(2, 60)])

    assert (refused.value.amount_microcredits, refused.value.reversible_microcredits) == (61, 60)
    assert account.available == 100
    with pytest.raises(errors.AmountExceedsLot):
        decide(account, reverse(2, 1), now_us=NOW_US)


def test_only_a_top_up_can_be_reversed() -> None:
    account = account_after(grant(10), adjust(10), top_up(10))

    for lot_number in (0, 1, 2, 3, 5):
        with pytest.raises(errors.LotNotFound):
            decide(account, reverse(lot_number, 1), now_us=NOW_US)
    assert decide(account, reverse(4, 1), now_us=NOW_US).amount == 1


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MICROCREDITS + 1])
def test_reversal_refuses_an_amount_that_is_none(amount: int) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(account_after(top_up(10)), reverse(2, amount), now_us=NOW_US)


def test_reversal_leaves_frozen_credits_to_the_work_they_are_promised_to() -> None:
    account = account_after(top_up(100), freeze(100, freeze_id=FREEZE_ID), reverse(2, 100))
    assert (account.available, account.frozen) == (-100, 100)

    applied(account, [confirm(FREEZE_ID, 60)])

    assert (account.available, account.frozen, account.spent, account.reversed) == (-60, 0, 60, 100)


def test_reversals_into_debt_stop_at_the_limit_of_what_an_account_can_owe() -> None:
    account = account_after(
        top_up(MAX_AMOUNT_MICROCREDITS), charge(MAX_AMOUNT_MICROCREDITS),
        *[adjust(-MAX_AMOUNT_MICROCREDITS, allow_negative=True) for _ in range(4)],
    )  # fmt: skip

    with pytest.raises(errors.BalanceLimitExceeded):
        decide(account, reverse(2, 1), now_us=NOW_US)


def test_reinstatement_gives_each_lot_back_what_it_gave() -> None:
    account = account_after(top_up(100), charge(80), grant(50), reverse(2, 60))
    assert (account.lots[2].remaining, account.lots[4].remaining) == (0, 10)

    decision = decide(account, reinstate(5, reason="dispute won"), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.reversal_reinstated, 60)
    assert decision.body == ReversalReinstated(
        reversal_version=5, lot_number=2, returned=((2, 20), (4, 40)), priority=100, reason="dispute won"
    )
    assert (account.available, account.reversed) == (70, 0)
    assert (account.lots[2].remaining, account.lots[4].remaining, account.lots[2].reversed) == (20, 50, 0)


def test_a_reversal_is_reinstated_once() -> None:
    account = account_after(top_up(100), reverse(2, 60), reinstate(3))

    with pytest.raises(errors.ReversalNotFound):
        decide(account, reinstate(3), now_us=NOW_US)


@pytest.mark.parametrize("version", [0, 1, 2, 4, 99, -1])
def test_what_is_not_a_reversal_cannot_be_reinstated(version: int) -> None:
    account = account_after(top_up(100), reverse(2, 60))

    with pytest.raises(errors.ReversalNotFound) as refused:
        decide(account, reinstate(version), now_us=NOW_US)

    assert refused.value.reversal_version == version


def test_a_top_up_can_be_reversed_again_after_its_reinstatement() -> None:
    account = account_after(top_up(100), reverse(2, 100), reinstate(3), reverse(2, 100))

    assert (account.available, account.reversed) == (0, 100)


def test_reinstatement_pays_the_debt_it_had_made() -> None:
    account = account_after(top_up(100), charge(100), reverse(2, 100), reinstate(4))

    assert (account.available, account.reversed, account.spent) == (0, 0, 100)
    assert set(account.lots) == {2}


@pytest.mark.parametrize(("repaid", "new_lot"), [(99, 99), (100, 100), (101, 100)])
def test_debt_that_was_paid_meanwhile_comes_back_as_a_lot_that_does_not_expire(repaid: int, new_lot: int) -> None:
    account = account_after(top_up(100, priority=7), charge(100), reverse(2, 100), top_up(repaid))

    applied(account, [reinstate(4, lot_id=LOT_ID)])

    lot = account.lots[6]
    assert (lot.id, lot.origin, lot.expires_at_us, lot.priority) == (LOT_ID, Origin.reinstatement, None, 7)
    assert (lot.amount, lot.remaining) == (new_lot, new_lot)
    assert account.available == repaid


def test_reinstatement_into_a_lot_that_expired_meanwhile_expires() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), reverse(2, 60))

    applied(account, [reinstate(3), expire_lot(2)], now_us=NOW_US + 1)

    assert (account.available, account.expired, account.reversed) == (0, 100, 0)
    assert account.lots[2].expired == 100


def test_reinstatement_restores_what_had_expired_before_the_reversal() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1))

    applied(account, [expire_lot(2), reverse(2, 100)], now_us=NOW_US + 1)
    assert (account.expired, account.reversed) == (0, 100)
    applied(account, [reinstate(4)], now_us=NOW_US + 1)

    assert (account.available, account.expired, account.reversed) == (0, 100, 0)


def test_reinstatement_pays_other_debts_before_lots_get_anything() -> None:
    account = account_after(top_up(100), reverse(2, 60), adjust(-50, allow_negative=True))
    assert account.available == -10

    applied(account, [reinstate(3)])

    assert (account.available, account.lots[2].remaining) == (50, 50)


def test_debt_of_two_reversals_is_paid_once() -> None:
    account = account_after(top_up(100), top_up(100), charge(200), reverse(2, 100), reverse(3, 100), top_up(150))
    assert account.available == -50

    applied(account, [reinstate(5)])
    assert (account.available, account.lots[8].remaining) == (50, 50)
    applied(account, [reinstate(6)])

    assert (account.available, account.lots[9].remaining) == (150, 100)
    assert (account.spent, account.reversed) == (200, 0)


def test_rollback_into_a_reversed_lot_returns_what_the_reversal_took_elsewhere() -> None:
    account = account_after(top_up(100), freeze(100, freeze_id=FREEZE_ID), grant(100), reverse(2, 100))
    assert (account.available, account.lots[4].remaining) == (0, 0)

    applied(account, [rollback(FREEZE_ID)])

    assert (account.available, account.lots[2].remaining) == (100, 100)
