"""How many credits go back, whatever the order in which refunds and disputes are told."""

from hypothesis import given
from hypothesis import strategies as st

from workers.payments.clawback import Cause, Standing, Taken, steps_to, wanted

MICRO = st.integers(1, 2**60)
MINOR = st.integers(1, 10**12)


@given(MICRO, MINOR, st.integers(0, 10**13), st.integers(0, 10**13))
def test_never_more_goes_back_than_the_payment_brought(brought: int, paid: int, refunded: int, disputed: int) -> None:
    goal = wanted(Taken(brought, paid, refunded, disputed))
    assert min(goal.values()) >= 0
    assert sum(goal.values()) <= brought


@given(MICRO, MINOR)
def test_all_of_the_money_takes_all_of_the_credits(brought: int, paid: int) -> None:
    assert wanted(Taken(brought, paid, paid, 0)) == {"refund": brought, "chargeback": 0}
    assert wanted(Taken(brought, paid, 0, paid)) == {"refund": 0, "chargeback": brought}


@given(MICRO, MINOR, st.integers(0, 10**12))
def test_all_of_the_money_takes_all_of_the_credits_also_where_both_take_a_part(
    brought: int, paid: int, part: int
) -> None:
    refunded = min(part, paid)
    assert sum(wanted(Taken(brought, paid, refunded, paid - refunded)).values()) == brought


@given(MICRO, MINOR, st.lists(st.integers(1, 10**12), min_size=1, max_size=6))
def test_refunds_one_after_the_other_take_what_one_refund_of_their_sum_takes(
    brought: int, paid: int, parts: list[int]
) -> None:
    standing: list[Standing] = []
    refunded = 0
    for part in parts:
        refunded += part
        steps = steps_to(wanted(Taken(brought, paid, refunded, 0)), standing)
        assert not steps.reinstate
        standing += [Standing(len(standing), cause, amount, "") for cause, amount in steps.reverse]
    assert sum(each.credits for each in standing) == wanted(Taken(brought, paid, sum(parts), 0))["refund"]


@given(
    st.lists(st.tuples(st.sampled_from(["refund", "chargeback"]), st.integers(1, 100)), max_size=8),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_the_steps_lead_to_the_goal_from_whatever_stands(
    stood: list[tuple[Cause, int]], refunds: int, chargebacks: int
) -> None:
    standing = [Standing(number, cause, amount, f"key {number}") for number, (cause, amount) in enumerate(stood)]
    goal: dict[Cause, int] = {"refund": refunds, "chargeback": chargebacks}
    steps = steps_to(goal, standing)
    left = [each for each in standing if each not in steps.reinstate]
    for cause, aim in goal.items():
        have = sum(each.credits for each in left if each.cause == cause)
        assert have + sum(amount for taken, amount in steps.reverse if taken == cause) == aim


def test_where_nothing_changed_there_is_nothing_to_do() -> None:
    assert steps_to({"refund": 5, "chargeback": 0}, [Standing(1, "refund", 5, "")]) == ((), ())


def test_a_refund_of_what_is_disputed_takes_it_from_the_dispute() -> None:
    stood = [Standing(1, "chargeback", 1_000, "one")]
    goal = wanted(Taken(1_000, 100, 60, 100))
    assert goal == {"refund": 600, "chargeback": 400}
    assert steps_to(goal, stood) == ((stood[0],), (("refund", 600), ("chargeback", 400)))
