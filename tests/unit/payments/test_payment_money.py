"""Amounts of money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.payments.money import MAX_MINOR, Money, NotMoney


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("10.50", "USD", 1_050),
        ("10.5", "USD", 1_050),
        ("10", "USD", 1_000),
        ("1500", "JPY", 1_500),
        ("1500.00", "JPY", 1_500),
        ("1.234", "KWD", 1_234),
        ("0", "EUR", 0),
    ],
)
def test_a_decimal_is_read_in_the_places_of_its_currency(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("10.505", "USD"), ("1.5", "JPY"), ("-1", "USD"), ("1e3", "USD"), ("", "USD"), ("1,50", "EUR"), ("1", "usd"),
        ("1", "DOLLAR"), ("٣", "USD"), ("1.", "USD"), ("9" * 40, "USD"), ("10000000000000.01", "USD"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str, currency: str) -> None:
    with pytest.raises(NotMoney):
        Money.parse(text, currency)


@given(st.integers(0, MAX_MINOR // 1_000), st.sampled_from(["USD", "JPY", "KWD"]))
def test_what_is_written_reads_the_same(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.parse(money.text, currency) == money


def test_an_amount_is_never_below_zero() -> None:
    with pytest.raises(NotMoney):
        Money(-1, "USD")
