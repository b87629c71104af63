import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.amounts import MAX_AMOUNT_MICROCREDITS, format_credits, parse_credits
from ledger.errors import InvalidAmount

amounts = st.integers(min_value=1, max_value=MAX_AMOUNT_MICROCREDITS)


@given(amounts)
def test_what_is_written_is_read_back(amount_microcredits: int) -> None:
    assert parse_credits(format_credits(amount_microcredits)) == amount_microcredits


@given(amounts)
def test_a_negative_amount_is_read_back_where_a_sign_is_allowed(amount_microcredits: int) -> None:
    assert parse_credits(format_credits(-amount_microcredits), signed=True) == -amount_microcredits


@given(st.integers(min_value=0, max_value=9_999_999_999_999), st.text("0123456789", min_size=1, max_size=6))
def test_a_decimal_string_means_exactly_what_it_says(whole: int, fraction: str) -> None:
    expected = whole * 1_000_000 + int(fraction + "0" * (6 - len(fraction)))
    text = f"{whole}.{fraction}"

    if 0 < expected <= MAX_AMOUNT_MICROCREDITS:
        assert parse_credits(text) == expected
    else:
        with pytest.raises(InvalidAmount):
            parse_credits(text)


@given(st.text())
def test_any_other_text_is_refused_and_never_breaks(text: str) -> None:
    try:
        amount_microcredits = parse_credits(text, signed=True)
    except InvalidAmount:
        return
    assert 0 < abs(amount_microcredits) <= MAX_AMOUNT_MICROCREDITS


@pytest.mark.parametrize(
    ("amount_microcredits", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (10_000_000, "10"),
        (12_500_000, "12.5"),
        (-12_500_000, "-12.5"),
        (100_000, "0.1"),
        (2**60, "1152921504606.846976"),
    ],
)
def test_the_shortest_exact_form_is_written(amount_microcredits: int, text: str) -> None:
    assert format_credits(amount_microcredits) == text


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-", ".", "-.", ".5", "5.", "+1", " 1", "1 ", "1\n", "\t1", "1 000", "1_000", "1,5", "1'000", "0x10",
        "NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf", "1e3", "1E3", "1e-3", "1.2.3", "--1", "1-", "\u22121",
        "١٢", "\uff11\uff12", "¹", "½", "1\u200b", "1\x00", "\ud800", "true", "null", "1.0000001", "0.0000001",
        "10000000000000", "1" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("signed", [False, True])
def test_what_is_not_a_plain_decimal_is_refused(text: str, signed: bool) -> None:
    with pytest.raises(InvalidAmount):
        parse_credits(text, signed=signed)


@pytest.mark.parametrize("text", ["0", "0.0", "0.000000", "-0", "-0.000000", "0000"])
@pytest.mark.parametrize("signed", [False, True])
def test_zero_is_refused(text: str, signed: bool) -> None:
    with pytest.raises(InvalidAmount):
        parse_credits(text, signed=signed)


def test_a_negative_amount_is_refused_where_no_sign_is_allowed() -> None:
    with pytest.raises(InvalidAmount):
        parse_credits("-1")


@pytest.mark.parametrize(("sign", "signed"), [("", False), ("", True), ("-", True)])
def test_the_largest_amount_is_accepted_and_one_microcredit_more_is_refused(sign: str, signed: bool) -> None:
    assert abs(parse_credits(f"{sign}1152921504606.846976", signed=signed)) == 2**60

    with pytest.raises(InvalidAmount):
        parse_credits(f"{sign}1152921504606.846977", signed=signed)


def test_six_places_are_accepted_and_a_seventh_is_refused_even_when_it_is_zero() -> None:
    assert parse_credits("0.000001") == 1

    with pytest.raises(InvalidAmount):
        parse_credits("1.0000000")


def test_the_message_of_a_refusal_stays_short_whatever_was_sent() -> None:
    with pytest.raises(InvalidAmount) as refused:
        parse_credits("9" * 100_000)

    assert len(str(refused.value)) < 200
