"""Sessions: both halves of a turn commit with its generation or not at all, in one order, each once."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.batch import Rider
from ledger.commands import Confirm, Freeze, OpenAccount, TopUp
from ledger.database import Database
from ledger.errors import AccountNotFound, InsufficientCredits, RiderRefused
from ledger.writer import LedgerWriter
from workers.errors import InvalidInput, SessionNotFound
from workers.modes import FileReference, read_input
from workers.providers import Message
from workers.providers.interface import Attachment
from workers.session_store import (
    Session,
    delete_session,
    get_session,
    list_messages,
    list_sessions,
    open_session,
)
from workers.sessions import Turn, append_answer, retry_turn, take_turn

CREDIT = 1_000_000

INSERT_GENERATION = """
INSERT INTO generations (
    id, account_id, created_at, deadline_at, frozen, price_version, max_output_tokens, model, mode, provider,
    request_id, request_sha256
)
VALUES (%(id)s, %(account_id)s, now(), now(), 0, 1, 1, 'echo', 'chat', 'echo', '', '')
"""

END_GENERATION = """
UPDATE generations
SET
    status = 2, finished_at = now(), cost = 0, shortfall = 0, end_epoch = 1, end_seq = 2, text_length = 0,
    text_sha256 = ''
WHERE id = %(id)s
"""

INSERT_MEDIA = """
INSERT INTO media_objects (
    id, account_id, purpose, kind, media_type, state, storage_key, size_bytes, stored_at
)
VALUES (%(id)s, %(account_id)s, 'upload', 'image', 'image/png', %(state)s, '', 1, now())
"""


class Talk:
    """Somebody with credits and a session, and what admission and settlement do around it."""

    def __init__(self, database: Database, writer: LedgerWriter, session: Session) -> None:
        self.database, self.writer, self.session = database, writer, session

    async def say(self, text: str, *, amount: int = CREDIT, budget_tokens: int = 10_000) -> tuple[UUID, list[str]]:
        """Admit a generation that answers this; return its id and what its provider is given."""
        generation_id = uuid7()
        turn = await take_turn(
            self.database,
            read_input("chat", {}, {"prompt": text}),
            account_id=self.session.account_id,
            session_id=self.session.id,
            generation_id=generation_id,
            budget_tokens=budget_tokens,
        )
        freeze = Freeze(
            account_id=self.session.account_id,
            command_key=f"generate:{generation_id}",
            freeze_id=generation_id,
            amount_microcredits=amount,
            ttl_us=3_600_000_000,
        )
        ids: dict[str, object] = {"id": generation_id, "account_id": self.session.account_id}
        await self.writer.submit(freeze, riders=[Rider(writes=((INSERT_GENERATION, ids),)), turn.rider])
        return generation_id, [message.content for message in turn.messages]

    async def answer(self, generation_id: UUID, text: str, *, partial: bool = False, settles: bool = True) -> None:
        """Settle a generation with this answer."""
        ids: dict[str, object] = {"id": generation_id}
        answer = append_answer(
            account_id=self.session.account_id, generation_id=generation_id, text=text, partial=partial
        )
        if not settles:
            async with self.database.connection() as connection:
                await connection.execute(*answer)
            return
        confirm = Confirm(
            account_id=self.session.account_id, command_key=f"settle:{generation_id}", freeze_id=generation_id
        )
        await self.writer.submit(confirm, riders=[Rider(writes=((END_GENERATION, ids), answer))])

    async def said(self) -> list[tuple[int, str, str]]:
        kept = await list_messages(self.database, self.session, after=0, limit=200)
        return [(message.ordinal, message.role, message.parts[0]["text"]) for message in kept]


@pytest.fixture
async def talk(database: Database, writer: LedgerWriter) -> Talk:
    account_id = uuid7()
    await writer.submit(OpenAccount(account_id=account_id, command_key="open", owner=str(account_id)))
    await writer.submit(TopUp(account_id=account_id, command_key="top-up", amount_microcredits=100 * CREDIT))
    session = await open_session(database, account_id, model="echo", title="Test", system="Be brief.")
    return Talk(database, writer, session)


async def test_a_conversation_is_kept_and_given_to_the_next_answer(talk: Talk) -> None:
    first, given = await talk.say("one")
    assert given == ["Be brief.", "one"]
    assert (await get_session(talk.database, talk.session.id)).busy

    await talk.answer(first, "ONE")
    _, given = await talk.say("two")

    assert given == ["Be brief.", "one", "ONE", "two"]
    assert await talk.said() == [(1, "user", "one"), (2, "assistant", "ONE"), (3, "user", "two")]


async def test_a_session_that_awaits_an_answer_takes_nothing_more(talk: Talk) -> None:
    generation_id, _ = await talk.say("one")

    with pytest.raises(RiderRefused):
        await talk.say("two")

    await talk.answer(generation_id, "ONE")
    await talk.say("two")
    assert [text for _, _, text in await talk.said()] == ["one", "ONE", "two"]


async def test_of_messages_sent_at_the_same_time_one_is_taken_and_none_is_lost(talk: Talk) -> None:
    for round_ in range(5):
        sent = await asyncio.gather(*(talk.say(f"{round_}.{number}") for number in range(8)), return_exceptions=True)

        taken = [result for result in sent if not isinstance(result, BaseException)]
        assert len(taken) == 1
        assert all(isinstance(result, RiderRefused) for result in sent if isinstance(result, BaseException))
        await talk.answer(taken[0][0], f"answer {round_}")

    said = await talk.said()
    assert [ordinal for ordinal, _, _ in said] == list(range(1, 11))
    assert [role for _, role, _ in said] == ["user", "assistant"] * 5


async def test_a_message_that_its_account_cannot_pay_for_is_not_kept(talk: Talk) -> None:
    with pytest.raises(InsufficientCredits):
        await talk.say("one", amount=101 * CREDIT)

    assert await talk.said() == []
    assert not (await get_session(talk.database, talk.session.id)).busy


async def test_an_answer_is_appended_once_however_often_it_is_told(talk: Talk) -> None:
    generation_id, _ = await talk.say("one")

    await talk.answer(generation_id, "ONE")
    await asyncio.gather(*(talk.answer(generation_id, "ONE", settles=False) for _ in range(5)))

    assert await talk.said() == [(1, "user", "one"), (2, "assistant", "ONE")]


async def test_an_answer_that_broke_off_is_marked(talk: Talk) -> None:
    generation_id, _ = await talk.say("one")

    await talk.answer(generation_id, "ON", partial=True)

    user, assistant = await list_messages(talk.database, talk.session, after=0, limit=10)
    assert (user.partial, assistant.partial) == (False, True)
    assert (user.generation_id, assistant.generation_id) == (generation_id, generation_id)


async def test_an_answer_of_nothing_frees_the_session_and_leaves_no_gap(talk: Talk) -> None:
    generation_id, _ = await talk.say("one")

    await talk.answer(generation_id, "")
    await talk.say("two")

    assert await talk.said() == [(1, "user", "one"), (2, "user", "two")]


async def test_a_session_whose_generation_ended_without_a_word_to_it_is_not_stuck(talk: Talk) -> None:
    generation_id, _ = await talk.say("one")
    async with talk.database.connection() as connection:
        await connection.execute(END_GENERATION, {"id": generation_id})

    assert not (await get_session(talk.database, talk.session.id)).busy
    await talk.say("two")

    await talk.answer(generation_id, "late", settles=False)
    assert [text for _, _, text in await talk.said()] == ["one", "two"]


async def test_a_retry_answers_in_the_session_unless_it_has_moved_on(talk: Talk) -> None:
    first, _ = await talk.say("one")
    await talk.answer(first, "ON", partial=True)
    second, third = uuid7(), uuid7()
    retry = retry_turn(account_id=talk.session.account_id, generation_id=second, retry_of=first)
    stale = retry_turn(account_id=talk.session.account_id, generation_id=third, retry_of=first)

    async with talk.database.connection() as connection:
        await connection.execute(*retry)
        await connection.execute(*stale)
    await talk.answer(third, "lost", settles=False)
    await talk.answer(second, "ONE", settles=False)
    _, given = await talk.say("two")

    assert [text for _, _, text in await talk.said()] == ["one", "ON", "ONE", "two"]
    assert given == ["Be brief.", "one", "ONE", "two"], "the answer that broke off is left out"


async def test_only_as_much_history_is_given_as_the_budget_allows(talk: Talk) -> None:
    for number in range(5):
        generation_id, _ = await talk.say(f"question {number} " + "x" * 400)
        await talk.answer(generation_id, f"answer {number} " + "y" * 400)

    _, given = await talk.say("now", budget_tokens=500)

    assert [text.split(" x")[0].split(" y")[0] for text in given] == [
        "Be brief.", "question 3", "answer 3", "question 4", "answer 4", "now",
    ]  # fmt: skip


async def test_a_session_is_told_one_message_at_a_time(talk: Talk) -> None:
    async def take(mode: str, **given: Any) -> None:
        await take_turn(
            talk.database,
            read_input(mode, {}, given),
            account_id=talk.session.account_id,
            session_id=talk.session.id,
            generation_id=uuid7(),
            budget_tokens=100,
        )

    hello, reply = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    await take("chat", messages=[hello])
    for messages in ([], [reply], [hello, hello], [{"role": "system", "content": "s"}, hello]):
        with pytest.raises(InvalidInput, match="the new message of the user"):
            await take("chat", messages=messages)
    with pytest.raises(InvalidInput, match="image has no sessions"):
        await take("image", prompt="x")


async def test_a_session_of_somebody_else_does_not_exist(talk: Talk) -> None:
    stranger = uuid7()

    with pytest.raises(SessionNotFound):
        await get_session(talk.database, talk.session.id, account_id=stranger)
    with pytest.raises(SessionNotFound):
        await delete_session(talk.database, talk.session.id, account_id=stranger)
    with pytest.raises(SessionNotFound):
        await take_turn(
            talk.database,
            read_input("chat", {}, {"prompt": "x"}),
            account_id=stranger,
            session_id=talk.session.id,
            generation_id=uuid7(),
            budget_tokens=100,
        )
    with pytest.raises(AccountNotFound):
        await open_session(talk.database, stranger, model=None, title=None, system=None)
    assert await list_sessions(talk.database, account_id=stranger, before=None, limit=10) == []


async def test_a_forgotten_session_takes_its_messages_with_it_and_its_generation_ends_all_the_same(
    talk: Talk, superuser_url: str
) -> None:
    generation_id, _ = await talk.say("one")

    await delete_session(talk.database, talk.session.id, account_id=talk.session.account_id)
    await talk.answer(generation_id, "ONE")

    with pytest.raises(SessionNotFound):
        await get_session(talk.database, talk.session.id)
    with psycopg.connect(superuser_url) as connection:
        assert connection.execute("SELECT count(*) FROM session_messages").fetchone() == (0,)


async def test_a_message_that_was_said_between_reading_and_admission_is_not_overlooked(talk: Talk) -> None:
    generation_id = uuid7()
    turn = await take_turn(
        talk.database,
        read_input("chat", {}, {"prompt": "late"}),
        account_id=talk.session.account_id,
        session_id=talk.session.id,
        generation_id=generation_id,
        budget_tokens=100,
    )
    first, _ = await talk.say("first")
    await talk.answer(first, "FIRST")
    guard = turn.rider.guard

    assert guard is not None
    async with talk.database.connection() as connection:
        assert await (await connection.execute(*guard)).fetchone() is None


async def test_texts_with_nul_are_kept(talk: Talk) -> None:
    generation_id, _ = await talk.say("a\0b")
    await talk.answer(generation_id, "c\0d")

    assert [text for _, _, text in await talk.said()] == ["a\0b", "c\0d"]


async def test_a_picture_is_looked_at_again_as_long_as_it_is_there(talk: Talk, superuser_url: str) -> None:
    kept, gone = uuid7(), uuid7()
    with psycopg.connect(superuser_url) as connection:
        for media_id, state in ((kept, "stored"), (gone, "awaiting_upload")):
            connection.execute(INSERT_MEDIA, {"id": media_id, "account_id": talk.session.account_id, "state": state})

    async def turn_with(*media_ids: UUID) -> Turn:
        attachments = [{"media_id": str(media_id)} for media_id in media_ids]
        return await take_turn(
            talk.database,
            read_input("chat", {}, {"messages": [{"role": "user", "content": "x", "attachments": attachments}]}),
            account_id=talk.session.account_id,
            session_id=talk.session.id,
            generation_id=uuid7(),
            kinds={str(media_id): "image" for media_id in media_ids},
            budget_tokens=10_000,
        )

    first = await turn_with(kept, gone)
    async with talk.database.connection() as connection:
        for statement in first.rider.writes:
            await connection.execute(*statement)
    second = await turn_with()

    (message,) = await list_messages(talk.database, talk.session, after=0, limit=10)
    assert [part["type"] for part in message.parts] == ["text", "image", "image"]
    assert first.files == (), "those of the new message are the input's own"
    assert [each.media_id for each in first.messages[-1].attachments] == [str(kept), str(gone)]
    assert second.files == (FileReference("session_id", str(kept), ("image",)),)
    assert second.messages[1] == Message("user", "x\n\n[file]", (Attachment(media_id=str(kept)),))
