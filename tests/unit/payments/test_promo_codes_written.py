"""How promo codes are written: what is the same code, and what is none."""

from hypothesis import given
from hypothesis import strategies as st

from workers.payments.promo_codes import MAX_CHARACTERS, normalised


@given(st.text(max_size=70))
def test_a_code_as_it_is_kept_is_the_same_code(text: str) -> None:
    code = normalised(text)

    if code is not None:
        assert normalised(code) == code
        assert len(code) <= MAX_CHARACTERS


@given(st.from_regex(r"[A-Za-z0-9_-]{3,64}", fullmatch=True))
def test_small_and_capital_letters_are_the_same(text: str) -> None:
    assert normalised(text) == normalised(text.lower()) == normalised(f" {text.upper()} ") == text.upper()
