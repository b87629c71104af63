"""Freezes: set aside, confirmed, rolled back, expired."""

from uuid import uuid4

import pytest

from ledger import errors
from ledger.account import Account, FreezeState, evolve
from ledger.amounts import MAX_AMOUNT_MICROCREDITS
from ledger.commands import Command
from ledger.decide import decide
from ledger.events import CreditsFrozen, FreezeConfirmed, FreezeRolledBack, Kind
from tests.builders import (
    FREEZE_ID,
    NOW_US,
    SECOND_US,
    account_after,
    adjust,
    applied,
    charge,
    confirm,
    expire_freeze,
    expire_lot,
    freeze,
    grant,
    reverse,
    rollback,
    top_up,
)


def frozen_account(amount: int = 100, *given: Command, now_us: int = NOW_US) -> Account:
    return account_after(top_up(amount), freeze(amount, freeze_id=FREEZE_ID, ttl_us=SECOND_US), *given, now_us=now_us)


def test_freeze_moves_credits_from_available_to_frozen() -> None:
    account = account_after(top_up(500))
    command = freeze(200, freeze_id=FREEZE_ID, ttl_us=9, reference="job", actor="key:1")

    decision = decide(account, command, now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.credits_frozen, 200)
    assert decision.body == CreditsFrozen(
        actor="key:1", freeze_id=FREEZE_ID, draws=((2, 200),), expires_at_us=NOW_US + 9, reference="job"
    )
    assert (account.available, account.frozen) == (300, 200)
    assert (account.lots[2].remaining, account.lots[2].frozen) == (300, 200)
    assert account.freezes[FREEZE_ID].state is FreezeState.open


def test_freeze_takes_the_last_microcredit() -> None:
    account = account_after(top_up(500), freeze(500))

    assert (account.available, account.frozen) == (0, 500)


def test_freeze_refuses_one_microcredit_too_many() -> None:
    with pytest.raises(errors.InsufficientCredits) as refused:
        decide(account_after(top_up(500)), freeze(501), now_us=NOW_US)

    assert refused.value.required_microcredits == 501
    assert refused.value.available_microcredits == 500


def test_freeze_does_not_count_credits_that_are_frozen_already() -> None:
    account = account_after(top_up(100), freeze(70))

    with pytest.raises(errors.InsufficientCredits) as refused:
        decide(account, freeze(31), now_us=NOW_US)

    assert refused.value.available_microcredits == 30
    assert decide(account, freeze(30), now_us=NOW_US).amount == 30


def test_freeze_does_not_count_an_expired_lot_even_if_no_sweeper_ran() -> None:
    account = account_after(top_up(100), grant(50, expires_at_us=NOW_US + 1))

    assert decide(account, freeze(150), now_us=NOW_US).amount == 150
    with pytest.raises(errors.InsufficientCredits) as refused:
        decide(account, freeze(101), now_us=NOW_US + 1)

    assert refused.value.available_microcredits == 100


def test_freeze_draws_on_several_lots_in_their_order() -> None:
    account = account_after(top_up(100), grant(50), top_up(10, priority=1), freeze(155, freeze_id=FREEZE_ID))

    assert account.freezes[FREEZE_ID].draws == ((4, 10), (3, 50), (2, 95))


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT_MICROCREDITS + 1, 2**63])
def test_freeze_refuses_an_amount_that_is_none(amount: int) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(account_after(top_up(500)), freeze(amount), now_us=NOW_US)


def test_freeze_takes_the_largest_amount() -> None:
    account = account_after(top_up(2**60), freeze(2**60))

    assert account.frozen == 2**60


def test_freeze_is_refused_while_the_account_owes_a_single_microcredit() -> None:
    account = account_after(adjust(-1, allow_negative=True))

    with pytest.raises(errors.AccountInDebt) as refused:
        decide(account, freeze(1), now_us=NOW_US)
    assert (refused.value.required_microcredits, refused.value.available_microcredits) == (1, -1)

    applied(account, [top_up(1)])
    with pytest.raises(errors.InsufficientCredits):
        decide(account, freeze(1), now_us=NOW_US)


def test_freeze_refuses_an_id_that_is_taken() -> None:
    with pytest.raises(errors.FreezeExists):
        decide(frozen_account(100, top_up(100)), freeze(1, freeze_id=FREEZE_ID), now_us=NOW_US)


def test_confirm_takes_all_by_default() -> None:
    account = frozen_account(100)

    decision = decide(account, confirm(FREEZE_ID), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert (decision.kind, decision.amount) == (Kind.freeze_confirmed, 100)
    assert decision.body == FreezeConfirmed(freeze_id=FREEZE_ID, draws=((2, 100),))
    assert (account.available, account.frozen, account.spent) == (0, 0, 100)
    assert (account.lots[2].remaining, account.lots[2].frozen) == (0, 0)
    assert account.freezes[FREEZE_ID].state is FreezeState.confirmed
    assert account.freezes[FREEZE_ID].confirmed == 100


@pytest.mark.parametrize(("amount", "returned"), [(0, 100), (1, 99), (99, 1), (100, 0)])
def test_confirm_takes_what_was_used_and_releases_the_rest_at_once(amount: int, returned: int) -> None:
    account = applied(frozen_account(100), [confirm(FREEZE_ID, amount)])

    assert (account.available, account.frozen, account.spent) == (returned, 0, amount)
    assert account.lots[2].remaining == returned
    assert account.freezes[FREEZE_ID].confirmed == amount


def test_confirm_refuses_one_microcredit_more_than_was_frozen() -> None:
    with pytest.raises(errors.AmountExceedsFreeze) as refused:
        decide(frozen_account(100), confirm(FREEZE_ID, 101), now_us=NOW_US)

    assert (refused.value.amount_microcredits, refused.value.frozen_microcredits) == (101, 100)


@pytest.mark.parametrize("amount", [-1, -(2**63)])
def test_confirm_refuses_less_than_nothing(amount: int) -> None:
    with pytest.raises(errors.InvalidAmount):
        decide(frozen_account(100), confirm(FREEZE_ID, amount), now_us=NOW_US)


def test_confirm_spends_in_the_order_the_lots_were_drawn_on() -> None:
    account = account_after(top_up(10), grant(10), freeze(20, freeze_id=FREEZE_ID))

    decision = decide(account, confirm(FREEZE_ID, 13), now_us=NOW_US)

    assert decision.body == FreezeConfirmed(freeze_id=FREEZE_ID, draws=((3, 10), (2, 3)), returned=((2, 7),))


def test_confirm_after_the_freeze_s_time_is_still_good_while_nobody_expired_it() -> None:
    account = frozen_account(100)

    applied(account, [confirm(FREEZE_ID, 60)], now_us=NOW_US + 10 * SECOND_US)

    assert (account.spent, account.available) == (60, 40)


def test_rollback_returns_everything_to_the_lots_it_came_from() -> None:
    account = account_after(top_up(10), grant(10), freeze(15, freeze_id=FREEZE_ID))

    decision = decide(account, rollback(FREEZE_ID, reason="worker lost"), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert decision.body == FreezeRolledBack(freeze_id=FREEZE_ID, returned=((3, 10), (2, 5)), reason="worker lost")
    assert (account.available, account.frozen, account.spent) == (20, 0, 0)
    assert [lot.remaining for lot in account.lots.values()] == [10, 10]
    assert account.freezes[FREEZE_ID].state is FreezeState.rolled_back
    assert account.freezes[FREEZE_ID].confirmed == 0


@pytest.mark.parametrize(("after_us", "expired"), [(SECOND_US - 1, 0), (SECOND_US, 10)])
def test_what_a_rollback_returns_to_an_expired_lot_expires(after_us: int, expired: int) -> None:
    account = account_after(top_up(10), grant(10, expires_at_us=NOW_US + SECOND_US), freeze(15, freeze_id=FREEZE_ID))

    applied(account, [rollback(FREEZE_ID)], now_us=NOW_US + after_us)

    assert account.expired == expired
    assert account.available == 20 - expired
    assert (account.lots[3].remaining, account.lots[3].expired) == (10 - expired, expired)
    assert account.lots[2].remaining == 10


def test_what_a_confirm_returns_to_an_expired_lot_expires_and_what_it_takes_is_spent() -> None:
    account = account_after(grant(10, expires_at_us=NOW_US + 1), top_up(10), freeze(20, freeze_id=FREEZE_ID))

    applied(account, [confirm(FREEZE_ID, 4)], now_us=NOW_US + 1)

    assert (account.spent, account.expired, account.available) == (4, 6, 10)


def test_what_is_released_pays_a_debt_before_it_returns() -> None:
    account = frozen_account(100, reverse(2, 30))
    assert account.available == -30

    decision = decide(account, rollback(FREEZE_ID), now_us=NOW_US)
    evolve(account, decision, recorded_at_us=NOW_US)

    assert decision.body == FreezeRolledBack(freeze_id=FREEZE_ID, returned=((2, 70),), debt_paid_microcredits=30)
    assert (account.available, account.lots[2].remaining) == (70, 70)


@pytest.mark.parametrize(("confirmed", "available"), [(69, 1), (70, 0), (71, -1)])
def test_what_a_confirm_releases_pays_a_debt_first(confirmed: int, available: int) -> None:
    account = frozen_account(100, reverse(2, 30))

    applied(account, [confirm(FREEZE_ID, confirmed)])

    assert account.available == available
    assert account.lots[2].remaining == max(0, available)
    assert account.spent == confirmed


def test_released_credits_of_an_expired_lot_pay_no_debt() -> None:
    account = account_after(
        top_up(100, expires_at_us=NOW_US + 1), freeze(100, freeze_id=FREEZE_ID), adjust(-30, allow_negative=True)
    )

    applied(account, [rollback(FREEZE_ID)], now_us=NOW_US + 1)

    assert (account.available, account.expired) == (-30, 100)


@pytest.mark.parametrize("resolve", [confirm, rollback, expire_freeze])
def test_a_freeze_nobody_made_cannot_be_resolved(resolve: type) -> None:
    unknown = uuid4()

    with pytest.raises(errors.FreezeNotFound) as refused:
        decide(frozen_account(100), resolve(unknown), now_us=NOW_US + 2 * SECOND_US)

    assert refused.value.freeze_id == unknown


@pytest.mark.parametrize("first", [confirm, rollback, expire_freeze])
@pytest.mark.parametrize("second", [confirm, rollback, expire_freeze])
def test_a_freeze_resolves_once(first: type, second: type) -> None:
    account = applied(frozen_account(100), [first(FREEZE_ID)], now_us=NOW_US + 2 * SECOND_US)

    with pytest.raises(errors.FreezeAlreadyResolved) as refused:
        decide(account, second(FREEZE_ID), now_us=NOW_US + 2 * SECOND_US)

    assert refused.value.state == ("confirmed" if first is confirm else "rolled_back")


def test_a_freeze_expires_at_its_time_and_not_a_microsecond_before() -> None:
    account = frozen_account(100)

    with pytest.raises(errors.FreezeNotExpired):
        decide(account, expire_freeze(FREEZE_ID), now_us=NOW_US + SECOND_US - 1)
    decision = decide(account, expire_freeze(FREEZE_ID), now_us=NOW_US + SECOND_US)

    assert decision.kind is Kind.freeze_rolled_back
    assert decision.body == FreezeRolledBack(freeze_id=FREEZE_ID, returned=((2, 100),), reason="expired")


def test_two_freezes_of_one_lot_are_resolved_independently() -> None:
    other = uuid4()
    account = account_after(top_up(100), freeze(40, freeze_id=FREEZE_ID), freeze(60, freeze_id=other))

    applied(account, [rollback(FREEZE_ID), confirm(other, 10), charge(90)])

    assert (account.available, account.frozen, account.spent) == (0, 0, 100)


def test_a_lot_can_expire_while_part_of_it_is_frozen() -> None:
    account = account_after(top_up(100, expires_at_us=NOW_US + 1), freeze(40, freeze_id=FREEZE_ID))

    applied(account, [expire_lot(2), confirm(FREEZE_ID, 15)], now_us=NOW_US + 1)

    assert (account.spent, account.expired, account.available, account.frozen) == (15, 85, 0, 0)
