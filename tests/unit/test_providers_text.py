"""Text that arrives in halves is delivered whole."""

from hypothesis import given
from hypothesis import strategies as st

from workers.providers.surrogates import SurrogateJoiner


def joined(*pieces: str) -> list[str]:
    joiner = SurrogateJoiner()
    return [*map(joiner.push, pieces), joiner.flush()]


def test_a_pair_split_between_deltas_comes_with_the_second() -> None:
    assert joined("a\ud83d", "\ude00b") == ["a", "😀b", ""]


def test_a_pair_within_one_delta_is_one_character() -> None:
    assert joined("\ud83d\ude00") == ["😀", ""]


def test_a_half_that_stays_alone_becomes_the_replacement_character() -> None:
    assert joined("a\ud83d", "b\ude00c", "\ud83d") == ["a", "\ufffdb\ufffdc", "", "\ufffd"]


def test_two_high_halves_keep_the_second_waiting() -> None:
    assert joined("\ud83d\ud83d", "\ude00") == ["\ufffd", "😀", ""]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_cut_anywhere_into_utf16_units_arrives_unchanged(text: str) -> None:
    raw = text.encode("utf-16-le")
    units = [raw[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(raw), 2)]

    assert "".join(joined(*units)) == text


@given(st.lists(st.text(st.sampled_from("a\ud83d\ude00é"))))
def test_whatever_arrives_can_be_encoded_at_every_moment(pieces: list[str]) -> None:
    for text in joined(*pieces):
        text.encode()
