"""What of a conversation the next answer is given: the newest that fits, whole turns, the system text always."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers import Message
from workers.providers.echo import count_words
from workers.providers.interface import Attachment
from workers.session_history import (
    MAX_MEDIA,
    SessionMessage,
    StoredMedia,
    conversation,
    decode_parts,
    encode_parts,
    estimate_message_tokens,
    parts_of_answer,
    parts_of_message,
    with_media,
)

NEW = Message("user", "and now?")


def said(ordinal: int, role: Any, text: str, *, partial: bool = False) -> SessionMessage:
    return SessionMessage(ordinal=ordinal, role=role, parts=({"type": "text", "text": text},), partial=partial)


def given_to_model(history: list[SessionMessage], budget_tokens: int = 1_000, **options: Any) -> tuple[Message, ...]:
    """One token is one character."""
    return conversation(
        history,
        NEW,
        system=options.get("system"),
        budget_tokens=budget_tokens,
        count=lambda message: len(message.content),
    )


TALK = [said(1, "user", "one"), said(2, "assistant", "ONE"), said(3, "user", "two"), said(4, "assistant", "TWO")]


def test_all_of_a_short_conversation_is_given_in_order() -> None:
    messages = given_to_model(TALK, system="Be brief.")

    assert [message.content for message in messages] == ["Be brief.", "one", "ONE", "two", "TWO", "and now?"]
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("budget_tokens", "texts"),
    [(20, ["one", "ONE", "two", "TWO"]), (19, ["two", "TWO"]), (14, ["two", "TWO"]), (13, []), (0, [])],
)
def test_the_newest_turns_that_fit_are_kept_beginning_with_the_user(budget_tokens: int, texts: list[str]) -> None:
    messages = given_to_model(TALK, budget_tokens)

    assert [message.content for message in messages] == [*texts, "and now?"]


def test_the_system_text_and_the_new_message_stay_whatever_they_take() -> None:
    assert given_to_model(TALK, 1, system="Be brief.") == (Message("system", "Be brief."), NEW)


def test_an_answer_that_broke_off_is_given_unless_it_was_asked_for_again() -> None:
    broken = [said(1, "user", "one"), said(2, "assistant", "ON", partial=True)]
    retried = [*broken, said(3, "assistant", "ONE")]

    assert [message.content for message in given_to_model(broken)] == ["one", "ON", "and now?"]
    assert [message.content for message in given_to_model(retried)] == ["one", "ONE", "and now?"]


def test_a_message_without_an_answer_is_given_too() -> None:
    assert [message.content for message in given_to_model([said(1, "user", "one")])] == ["one", "and now?"]


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(0, 400))
def test_what_is_given_fits_and_is_the_end_of_what_was_said(lengths: list[int], budget_tokens: int) -> None:
    history = [
        said(place + 1, ("user", "assistant")[place % 2], chr(ord("a") + place % 26) * length)
        for place, length in enumerate(lengths)
    ]

    messages = given_to_model(history, budget_tokens)

    kept = [message.content for message in messages[:-1]]
    spoken = [message.parts[0]["text"] for message in history if message.parts[0]["text"]]
    assert kept == spoken[len(spoken) - len(kept) :]
    assert not kept or sum(map(len, kept)) + len(NEW.content) <= budget_tokens
    assert messages[-1] == NEW


def test_attachments_stay_with_the_message_of_the_user() -> None:
    shown = Message("user", "What is this?", (Attachment(media_id="m1"),))
    history = [SessionMessage(ordinal=1, role="user", parts=parts_of_message(shown, {"m1": "image"}))]

    assert history[0].parts[1] == {"type": "image", "media_id": "m1"}
    assert conversation(history, NEW, system=None, budget_tokens=10_000) == (shown, NEW)
    assert estimate_message_tokens(shown) > 1_000


def test_an_answer_is_kept_in_parts() -> None:
    parts = parts_of_answer(
        "Look:",
        artifacts=[{"kind": "code", "index": 0, "language": "python"}, {"kind": "image", "media_id": "m2"}],
        structured={"title": "x"},
    )

    assert [part["type"] for part in parts] == ["text", "structured", "artifact", "image"]
    assert decode_parts(encode_parts(parts)) == parts
    answer = SessionMessage(ordinal=2, role="assistant", parts=parts)
    _, given_back, _ = conversation([TALK[0], answer], NEW, system=None, budget_tokens=10_000)
    assert given_back == Message("assistant", 'Look:\n\n{"title":"x"}\n\n[image]')


def test_an_answer_of_nothing_has_no_parts() -> None:
    assert parts_of_answer("") == ()


def shows(*media_ids: str, text: str = "Look.") -> Message:
    return Message("user", text, tuple(Attachment(media_id=media_id) for media_id in media_ids))


def test_earlier_pictures_go_along_as_far_as_they_are_there_fit_and_can_be_taken() -> None:
    stored = {
        "old": StoredMedia("image", 60),
        "recent": StoredMedia("image", 60),
        "small": StoredMedia("image", 40),
        "song": StoredMedia("audio", 1),
    }

    kept = with_media(
        [shows("old", "small"), shows("gone", "song"), shows("recent", text=""), shows("new")],
        stored,
        kinds=("image",),
        budget_bytes=100,
    )

    assert kept == (
        shows("small", text="Look.\n\n[image]"),
        shows(text="Look.\n\n[file]\n\n[audio]"),
        shows("recent", text=""),
        shows("new"),
    )


def test_only_so_many_earlier_pictures_go_along() -> None:
    stored = {str(number): StoredMedia("image", 1) for number in range(MAX_MEDIA + 5)}

    kept = with_media([*(shows(media_id) for media_id in stored), NEW], stored, kinds=("image",), budget_bytes=1_000)

    assert [len(message.attachments) for message in kept] == [0] * 5 + [1] * MAX_MEDIA + [0]


def test_a_message_of_nothing_but_a_picture_is_part_of_the_conversation() -> None:
    history = [SessionMessage(ordinal=1, role="user", parts=parts_of_message(shows("m1", text=""), {"m1": "image"}))]

    assert conversation(history, NEW, system=None, budget_tokens=10_000) == (shows("m1", text=""), NEW)


@given(st.text(alphabet="ab \n", max_size=300))
def test_a_word_is_never_less_than_a_token(text: str) -> None:
    assert estimate_message_tokens(Message("user", text)) >= count_words(text)
