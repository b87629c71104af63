"""What each event enters in the journal, with every switch of the policy."""

from collections import Counter
from typing import Any

import pytest

from ledger import events
from ledger.account import Account, evolve
from ledger.commands import Command
from ledger.decide import decide
from projections.chart import CREDIT, FIRST_UNIT_ACCOUNT, NAME_OF_ACCOUNT, LedgerAccount
from projections.journal_policy import Policies, Policy, PolicyInForce
from projections.journal_rules import Line, Lots, Original, Posted, entry_of
from projections.money import UnreadablePayment
from projections.periods import ClosedDay, ClosedDays
from tests.builders import (
    ACCOUNT_ID,
    FREEZE_ID,
    NOW_US,
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

A = LedgerAccount
EXPIRY_US = NOW_US + 10 * SECOND_US
AFTER_US = NOW_US + 20 * SECOND_US
CENT = 10_000


class Books:
    """One account and its journal; credits are whole here, and ten of them cost a euro."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.account = Account(ACCOUNT_ID)
        self.lots: Lots = {}
        self.lines: list[Line] = []
        self.reversals: dict[int, Original] = {}
        self.enter(open_account())

    def enter(self, command: Command, *, now_us: int = NOW_US) -> dict[str, int]:
        """Decide a command, enter its event, and return what it moved of euros: cents by account, debits above zero."""
        decision = decide(self.account, command, now_us=now_us)
        draws = {freeze.id: freeze.draws for freeze in self.account.freezes.values()}
        evolve(self.account, decision, recorded_at_us=now_us)
        body: Any = decision.body
        if isinstance(body, events.TopUpReversed):
            self.reversals[self.account.version] = Original(body, self.policy)
        resolves = isinstance(body, events.FreezeConfirmed | events.FreezeRolledBack)
        posted = Posted(
            account_id=ACCOUNT_ID,
            version=self.account.version,
            kind=decision.kind,
            amount=decision.amount,
            body=body,
            policy=self.policy,
            freeze_draws=draws[body.freeze_id] if resolves and body.debt_paid_microcredits else (),
            original=self.reversals[body.reversal_version] if isinstance(body, events.ReversalReinstated) else None,
        )
        lines = entry_of(self.lots, posted)
        self.lines += lines
        return {account.name: amount // CENT for account, amount in sums(lines, "EUR").items()}

    def buy(self, amount: int = 100, *, euros: str = "10.00", **fields: Any) -> dict[str, int]:
        return self.enter(top_up(amount, paid_amount=euros, paid_currency="EUR", **fields))

    def cents(self, account: LedgerAccount) -> int:
        return sums(self.lines, "EUR").get(account, 0) // CENT

    def credits(self, account: LedgerAccount) -> int:
        return sums(self.lines, CREDIT).get(account, 0)


def sums(lines: list[Line], commodity: str) -> dict[LedgerAccount, int]:
    moved: Counter[LedgerAccount] = Counter()
    for line in lines:
        if line.commodity == commodity:
            moved[line.debit] += line.amount
            moved[line.credit] -= line.amount
    return {account: amount for account, amount in moved.items() if amount}


def test_what_is_bought_is_owed_to_the_customer() -> None:
    books = Books()

    assert books.buy() == {"payment_clearing": 1_000, "contract_liability": -1_000}
    assert (books.credits(A.credits_bought), books.credits(A.credits_held)) == (100, -100)


def test_setting_credits_aside_and_back_enters_nothing() -> None:
    books = Books()
    books.buy()
    before = list(books.lines)

    books.enter(freeze(40, freeze_id=FREEZE_ID))
    books.enter(rollback(FREEZE_ID))

    assert books.lines == before


def test_what_is_used_is_revenue_at_what_its_lot_cost() -> None:
    books = Books()
    books.buy(100, euros="10.00")
    books.buy(100, euros="5.00")

    books.enter(freeze(120, freeze_id=FREEZE_ID))

    assert books.enter(confirm(FREEZE_ID, 110)) == {"contract_liability": 1_050, "usage": -1_050}
    assert books.enter(charge(90)) == {"contract_liability": 450, "usage": -450}
    assert books.credits(A.credits_used) == -200


def test_lots_without_payment_never_create_revenue() -> None:
    books = Books()
    books.enter(grant(50))
    books.enter(top_up(50))
    books.enter(adjust(50))

    books.enter(charge(150))

    assert {line.commodity for line in books.lines} == {CREDIT}


@pytest.mark.parametrize(
    ("promotions", "debit", "credit"),
    [
        ("contra_revenue", A.promotional_discount, A.promotional_use),
        ("expense", A.promotion_expense, A.promotion_absorbed),
    ],
)
def test_promotional_use_is_shown_at_its_value_where_the_policy_gives_it_one(
    promotions: Any, debit: LedgerAccount, credit: LedgerAccount
) -> None:
    books = Books(Policy(promotions=promotions, promotion_value="0.10", promotion_currency="EUR"))
    books.enter(grant(1_000_000))

    assert books.enter(charge(500_000)) == {debit.name: 5, credit.name: -5}
    assert books.cents(A.usage) == 0


def test_what_expires_stays_owed_until_the_policy_makes_it_income() -> None:
    for breakage, account in (("deferred", A.expired_liability), ("on_expiry", A.breakage)):
        books = Books(Policy(breakage=breakage))  # type: ignore[arg-type]  # both are names of the switch
        books.buy(expires_at_us=EXPIRY_US)
        books.enter(charge(30))

        assert books.enter(expire_lot(2), now_us=AFTER_US) == {"contract_liability": 700, account.name: -700}
        assert books.credits(A.credits_expired) == -70


def test_credits_that_expire_early_take_their_share_of_the_payment_with_them() -> None:
    books = Books()
    books.buy(expires_at_us=EXPIRY_US)

    early = books.enter(expire_lot(2, keep_microcredits=60))
    late = books.enter(expire_lot(2), now_us=AFTER_US)

    assert early == {"contract_liability": 400, "expired_liability": -400}
    assert late == {"contract_liability": 600, "expired_liability": -600}
    assert books.credits(A.credits_expired) == -100


def test_what_goes_back_to_a_lot_that_is_over_expires_in_the_same_entry() -> None:
    books = Books()
    books.buy(expires_at_us=EXPIRY_US)
    books.enter(freeze(100, freeze_id=FREEZE_ID))

    moved = books.enter(confirm(FREEZE_ID, 25), now_us=AFTER_US)

    assert moved == {"contract_liability": 1_000, "usage": -250, "expired_liability": -750}


def test_a_refund_of_unused_credits_is_owed_to_the_customer_as_money() -> None:
    books = Books()
    books.buy()

    assert books.enter(reverse(2, 40)) == {"contract_liability": 400, "refund_liability": -400}
    assert books.credits(A.credits_refunded) == -40


def test_a_refund_leaves_at_once_where_the_policy_says_so() -> None:
    books = Books(Policy(refunds="clearing"))
    books.buy()

    assert books.enter(reverse(2, 40)) == {"contract_liability": 400, "refunds_paid": -400}


def test_a_refund_of_used_credits_takes_revenue_back_and_makes_a_debt_of_credits() -> None:
    books = Books()
    books.buy()
    books.enter(charge(100))

    assert books.enter(reverse(2, 100)) == {"usage": 1_000, "refund_liability": -1_000}
    assert books.credits(A.credits_owed) == 100
    assert books.enter(top_up(150, paid_amount="15.00", paid_currency="EUR")) == {
        "payment_clearing": 1_500, "contract_liability": -500, "usage": -1_000,
    }  # fmt: skip
    assert (books.credits(A.credits_owed), books.credits(A.credits_held)) == (0, -50)


def test_a_refund_that_takes_other_lots_has_them_pay_for_the_use() -> None:
    books = Books()
    books.buy(100, euros="10.00")
    books.enter(charge(100))
    books.buy(100, euros="5.00")

    moved = books.enter(reverse(2, 100))

    assert moved == {"contract_liability": 500, "usage": 500, "refund_liability": -1_000}


@pytest.mark.parametrize(
    ("policy", "bears"),
    [
        (Policy(), A.expired_liability),
        (Policy(breakage="on_expiry"), A.breakage),
        (Policy(breakage="on_expiry", refund_of_expired="write_off"), A.write_off),
    ],
)
def test_a_refund_of_expired_credits_is_borne_by_where_their_money_went(policy: Policy, bears: LedgerAccount) -> None:
    books = Books(policy)
    books.buy(expires_at_us=EXPIRY_US)
    books.enter(expire_lot(2), now_us=AFTER_US)

    assert books.enter(reverse(2, 60), now_us=AFTER_US) == {bears.name: 600, "refund_liability": -600}
    assert books.credits(A.credits_expired) == -40


def test_a_chargeback_takes_the_payment_and_what_was_used_of_it_is_a_loss() -> None:
    books = Books()
    books.buy()
    books.enter(charge(70))

    moved = books.enter(reverse(2, 100, reason="chargeback: fraud"))

    assert moved == {"chargebacks_taken": -1_000, "contract_liability": 300, "chargeback_loss": 700}


def test_a_dispute_that_is_won_undoes_the_entry_of_the_chargeback() -> None:
    books = Books()
    books.buy()
    books.enter(charge(70))
    lost = books.enter(reverse(2, 100, reason="chargeback"))
    books.enter(grant(70))  # which pays the debt that the chargeback made

    won = books.enter(reinstate(4))

    new_lot = books.lots[6]
    assert won["chargebacks_taken"] == -lost["chargebacks_taken"]
    # What had become debt comes back as a lot of its own, at what it had cost.
    assert won["contract_liability"] == -1_000
    assert (new_lot.amount, new_lot.paid, new_lot.is_bought) == (70, 700 * CENT, True)
    assert books.enter(charge(100)) == {"contract_liability": 1_000, "usage": -1_000}


def test_a_refund_that_failed_pays_the_debt_it_had_made() -> None:
    books = Books()
    books.buy()
    books.enter(charge(100))
    books.enter(reverse(2, 100))

    assert books.enter(reinstate(4)) == {"refund_liability": 1_000, "usage": -1_000}
    assert books.credits(A.credits_owed) == 0


def test_a_freeze_that_pays_a_debt_when_it_is_released_is_a_use() -> None:
    books = Books()
    books.buy()
    books.enter(freeze(60, freeze_id=FREEZE_ID))
    books.enter(charge(40))
    books.enter(adjust(-25, allow_negative=True))

    moved = books.enter(rollback(FREEZE_ID))

    assert moved == {"contract_liability": 250, "usage": -250}
    assert (books.credits(A.credits_owed), books.credits(A.credits_held)) == (0, -35)


def test_a_correction_that_takes_bought_credits_is_written_off_the_other_way() -> None:
    books = Books()
    books.buy()

    assert books.enter(adjust(-30)) == {"contract_liability": 300, "write_off": -300}
    assert books.credits(A.credits_adjusted) == -30


def test_every_line_stays_with_money_or_with_credits() -> None:
    books = Books(Policy(promotion_value="0.01", promotion_currency="EUR"))
    books.buy()
    books.enter(grant(1_000_000))
    books.enter(charge(900_000))

    for line in books.lines:
        is_unit = line.commodity == CREDIT
        assert is_unit == (line.debit >= FIRST_UNIT_ACCOUNT) == (line.credit >= FIRST_UNIT_ACCOUNT)
        assert line.amount > 0
        assert line.debit != line.credit


def test_what_is_more_than_a_line_can_hold_takes_several() -> None:
    books = Books()
    books.buy(5, euros="999999999999999.999999")

    lines = [line for line in books.lines if line.commodity == "EUR"]

    assert len(lines) > 200
    assert sum(line.amount for line in lines) == 999_999_999_999_999_999_999


def test_a_payment_that_is_no_money_is_not_entered() -> None:
    with pytest.raises(UnreadablePayment):
        Books().enter(top_up(5, paid_amount="5,00", paid_currency="EUR"))


def test_a_policy_that_is_no_policy_is_refused() -> None:
    with pytest.raises(UnreadablePayment):
        Policy(promotion_value="a cent", promotion_currency="EUR")


def test_a_policy_begins_after_the_event_it_was_set_at() -> None:
    first, second = Policy(breakage="on_expiry"), Policy(refunds="clearing")
    policies = Policies((PolicyInForce(10, first), PolicyInForce(20, second)))

    assert [policies.at(seq) for seq in (10, 11, 20, 21)] == [Policy(), first, first, second]


@pytest.mark.parametrize(
    ("seq", "recorded_day", "effective_day", "booked_day"),
    [
        (5, 130, 90, 90),  # came before the close
        (6, 130, 90, 130),  # effective in the closed period: when it was recorded
        (6, 130, 100, 130),  # its last day
        (6, 130, 101, 101),  # the first open day
        (6, 95, 90, 101),  # recorded in the closed period too: the first open day
        (9, 130, 110, 130),  # the second period is closed by then
    ],
)
def test_what_comes_after_a_close_is_booked_after_it(
    seq: int, recorded_day: int, effective_day: int, booked_day: int
) -> None:
    closed = ClosedDays((ClosedDay(5, 100), ClosedDay(8, 120)))

    assert closed.booked_day(seq, recorded_day=recorded_day, effective_day=effective_day) == booked_day


def test_no_account_of_the_chart_is_above_another() -> None:
    for name in NAME_OF_ACCOUNT.values():
        below = [other for other in NAME_OF_ACCOUNT.values() if other.startswith(f"{name}:")]
        assert not below, "one program's balance of an account includes what is below it, another's does not"
