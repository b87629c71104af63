"""Payments as exact integers, and lots that give exactly what was paid for them."""

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.journal_lots import JournalLot
from projections.money import NOTHING, Payment, UnreadablePayment, format_micros, parse_payment


def lot(amount: int, paid: int, *, unit: int = 10_000) -> JournalLot:
    return JournalLot(UUID(int=1), 2, True, "USD", unit, paid, amount, amount)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("9.99", "USD", Payment(9_990_000, "USD", 10_000)),
        ("9.9", "USD", Payment(9_900_000, "USD", 10_000)),
        ("1000", "JPY", Payment(1_000_000_000, "JPY", 1_000_000)),
        ("3.125", "KWD", Payment(3_125_000, "KWD", 1_000)),
        ("0.005", "USD", Payment(5_000, "USD", 1_000)),
        ("0.0050", "USD", Payment(5_000, "USD", 1_000)),
        ("0.000001", "USDT", Payment(1, "USDT", 1)),
        ("999999999999999.999999", "USD", Payment(999_999_999_999_999_999_999, "USD", 1)),
        ("0", "USD", NOTHING),
        ("0.00", "USD", NOTHING),
        ("", "", NOTHING),
    ],
)
def test_a_payment_is_read_exactly_with_the_unit_it_is_rounded_to(
    amount: str, currency: str, expected: Payment
) -> None:
    assert parse_payment(amount, currency) == expected


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("-1", "USD"), ("1e3", "USD"), ("1", ""), ("", "USD"), ("1", "usd"), ("1", "CREDIT"), ("1.0000001", "USD")],
)
def test_what_is_not_money_is_not_read(amount: str, currency: str) -> None:
    with pytest.raises(UnreadablePayment):
        parse_payment(amount, currency)


def test_millionths_are_written_in_the_shortest_exact_form() -> None:
    assert [format_micros(amount) for amount in (0, 12_500_000, -1, 10_000_000)] == ["0", "12.5", "-0.000001", "10"]


def test_a_lot_is_rounded_to_its_unit_halves_up() -> None:
    half = lot(2, 10_000)

    assert half.take(1) == 0, "half a cent stays with what is held"
    assert half.take(1) == 10_000


@given(amount=st.integers(1, 2**60), cents=st.integers(0, 10**17), seed=st.integers(0, 2**32))
def test_a_lot_gives_exactly_what_was_paid_however_it_is_taken(amount: int, cents: int, seed: int) -> None:
    chance = random.Random(seed)
    taken_from = lot(amount, cents * 10_000)
    taken = 0

    while taken_from.held:
        part = taken_from.take(chance.randint(1, taken_from.held) if chance.random() < 0.9 else taken_from.held)
        assert part >= 0
        assert part % 10_000 == 0
        taken += part

    assert taken == cents * 10_000


@given(amount=st.integers(1, 2**60), cents=st.integers(0, 10**12), seed=st.integers(0, 2**32))
def test_what_is_put_back_is_what_was_taken(amount: int, cents: int, seed: int) -> None:
    chance = random.Random(seed)
    both_ways = lot(amount, cents * 10_000)
    parts = [chance.randint(0, amount // 4) for _ in range(4)]

    taken = [both_ways.take(part) for part in parts]
    put_back = [both_ways.put_back(part) for part in parts]

    assert sum(taken) == sum(put_back)
    assert both_ways.held == amount


@given(amount=st.integers(1, 10**9), cents=st.integers(0, 10**9), seed=st.integers(0, 2**32))
def test_refunding_what_is_still_held_moves_exactly_its_money(amount: int, cents: int, seed: int) -> None:
    chance = random.Random(seed)
    refunded = lot(amount, cents * 10_000)

    while refunded.held:
        part = chance.randint(1, refunded.held)
        assert refunded.refund(part) == refunded.take(part)

    assert refunded.reversed == amount


def test_expired_money_comes_out_again_to_the_last_cent() -> None:
    partly = lot(3, 10_000)
    partly.expire(2, partly.take(2), recognised=False)
    partly.expire(1, partly.take(1), recognised=True)

    out = [partly.unexpire(1) for _ in range(3)]

    assert sum(deferred for deferred, _ in out) + sum(recognised for _, recognised in out) == 10_000
    assert (partly.expired, partly.expired_deferred, partly.expired_recognised) == (0, 0, 0)
