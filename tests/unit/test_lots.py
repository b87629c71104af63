from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.lots import Lot, Origin, draw, split, total
from tests.builders import NOW_US


def a_lot(number: int, remaining: int = 100, *, priority: int = 100, expires_at_us: int | None = None,
          origin: Origin = Origin.top_up) -> Lot:  # fmt: skip
    return Lot(number, uuid4(), origin, "test", priority, expires_at_us, remaining, remaining)


def order_of(*lots: Lot) -> list[int]:
    portions, missing = draw(reversed(lots), sum(lot.remaining for lot in lots), NOW_US)
    assert missing == 0
    return [number for number, _ in portions]


def test_priority_comes_before_everything_else() -> None:
    first = a_lot(9, priority=1)
    second = a_lot(1, priority=2, expires_at_us=NOW_US + 1, origin=Origin.grant)

    assert order_of(first, second) == [9, 1]


def test_with_equal_priority_the_lot_that_expires_first_is_spent_first_and_one_that_never_does_last() -> None:
    soon = a_lot(9, expires_at_us=NOW_US + 1)
    later = a_lot(8, expires_at_us=NOW_US + 2)
    never = a_lot(1, origin=Origin.grant)

    assert order_of(soon, later, never) == [9, 8, 1]


@pytest.mark.parametrize("given_origin", [Origin.grant, Origin.adjustment])
@pytest.mark.parametrize("bought_origin", [Origin.top_up, Origin.reinstatement])
@pytest.mark.parametrize("expires_at_us", [None, NOW_US + 1])
def test_with_equal_expiry_granted_credits_are_spent_before_bought_ones(
    given_origin: Origin, bought_origin: Origin, expires_at_us: int | None
) -> None:
    granted = a_lot(9, origin=given_origin, expires_at_us=expires_at_us)
    bought = a_lot(1, origin=bought_origin, expires_at_us=expires_at_us)

    assert order_of(granted, bought) == [9, 1]


def test_otherwise_the_older_lot_is_spent_first() -> None:
    assert order_of(a_lot(1), a_lot(2), a_lot(10)) == [1, 2, 10]


def test_a_lot_is_spendable_up_to_the_last_microsecond_before_its_expiry_and_not_at_it() -> None:
    lot = a_lot(1, expires_at_us=NOW_US)

    assert draw([lot], 1, NOW_US - 1) == (((1, 1),), 0)
    assert draw([lot], 1, NOW_US) == ((), 1)
    assert not lot.is_expired(NOW_US - 1)
    assert lot.is_expired(NOW_US)
    assert not a_lot(2).is_expired(2**62)


def test_a_draw_takes_from_the_next_lot_only_what_the_first_lacks() -> None:
    lots = [a_lot(1, 10), a_lot(2, 10)]

    assert draw(lots, 9, NOW_US) == (((1, 9),), 0)
    assert draw(lots, 10, NOW_US) == (((1, 10),), 0)
    assert draw(lots, 11, NOW_US) == (((1, 10), (2, 1)), 0)
    assert draw(lots, 20, NOW_US) == (((1, 10), (2, 10)), 0)
    assert draw(lots, 21, NOW_US) == (((1, 10), (2, 10)), 1)


def test_a_draw_of_nothing_and_a_draw_on_nothing_take_nothing() -> None:
    assert draw([a_lot(1)], 0, NOW_US) == ((), 0)
    assert draw([], 5, NOW_US) == ((), 5)
    assert draw([a_lot(1, 0)], 5, NOW_US) == ((), 5)


def test_a_draw_changes_no_lot() -> None:
    lot = a_lot(1, 10)

    draw([lot], 10, NOW_US)

    assert lot.remaining == 10


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50)), max_size=6), st.integers(0, 320))
def test_a_split_keeps_the_order_and_loses_nothing(portions: list[tuple[int, int]], amount: int) -> None:
    first, rest = split(portions, amount)

    assert total(first) == min(amount, total(portions))
    assert total(first) + total(rest) == total(portions)
    assert all(portion > 0 for _, portion in (*first, *rest))
    joined = [number for number, portion in (*first, *rest) for _ in range(portion)]
    assert joined == [number for number, portion in portions for _ in range(portion)]
