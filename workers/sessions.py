"""Conversations that the platform keeps.

What the user says commits with the generation that answers it, and the answer with the end of that generation; so a
crash leaves neither half. In admission:

    turn = await take_turn(database, given, account_id=…, session_id=…, generation_id=…, kinds=…, budget_tokens=…)
    # the provider is given turn.messages, with turn.files beside those of the input
    await writer.submit(freeze, riders=[…, turn.rider])      # RiderRefused: SessionBusy

and in the same transaction as every terminal row:

    append_answer(account_id=…, generation_id=…, text=…, artifacts=…, structured=…, partial=…)

which does nothing where no session awaits this generation. A generation that is free has no ledger command: there the
guard of the rider is asked first, and its writes follow, in the transaction of the admission.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from ledger import statements
from ledger.arrays import UuidArray
from ledger.batch import Rider, Statement
from ledger.database import Database
from workers.errors import InvalidInput
from workers.media.inputs import INLINE_LIMIT_BYTES
from workers.modes import MODES, FileReference, ModeInput
from workers.modes.reading import EVERY_KIND
from workers.providers import MediaKind, Message
from workers.session_history import (
    SessionMessage,
    StoredMedia,
    conversation,
    decode_parts,
    encode_parts,
    parts_of_answer,
    parts_of_message,
    with_media,
)
from workers.session_store import Session, get_session

sql: Final = statements.load("workers")

MAX_HISTORY_MESSAGES: Final = 1_000
MOST_BYTES_PER_TOKEN: Final = 8
"""How much of the history is read for a budget of tokens: more than any text of that many tokens takes to store."""


class Turn(Struct, frozen=True):
    """What one message leads to: what the provider is given, and what commits with the generation."""

    messages: tuple[Message, ...]
    rider: Rider
    files: tuple[FileReference, ...] = ()
    """The media of earlier messages that go along."""


async def take_turn(
    database: Database,
    given: ModeInput,
    *,
    account_id: UUID,
    session_id: UUID,
    generation_id: UUID,
    budget_tokens: int,
    kinds: Mapping[str, MediaKind] | None = None,
    attachments: Collection[MediaKind] = EVERY_KIND,
    count: Callable[[Message], int] | None = None,
) -> Turn:
    """Say something in a session: return what its generation is given, and the rider that appends the message.

    The rider is refused if anything was said in the session since, or an answer is being written. `budget_tokens` is
    what history and message may come to together, by `count` of each message; `kinds` tells what the attachments
    of the message are, and `attachments` which kinds the model takes at all.

    Raises:
        SessionNotFound: there is none, or it is another account's.
        InvalidInput: the mode has no sessions, or the input is not one message of the user.
    """
    said = _one_message(given)
    session = await get_session(database, session_id, account_id=account_id)
    history = await _read_history(database, session, budget_tokens)
    messages = conversation(history, said, system=session.system, budget_tokens=budget_tokens, count=count)
    stored = await _read_media(database, account_id, messages)
    own_bytes = sum(stored[each.media_id].size_bytes for each in said.attachments if each.media_id in stored)
    messages = with_media(messages, stored, kinds=attachments, budget_bytes=INLINE_LIMIT_BYTES - own_bytes)
    turn: dict[str, object] = {
        "session_id": session_id,
        "account_id": account_id,
        "generation_id": generation_id,
        "next_ordinal": session.messages + 1,
        "parts": encode_parts(parts_of_message(said, kinds or {})),
    }
    rider = Rider(guard=(sql.GUARD_SESSION_TURN, turn), writes=((sql.APPEND_SESSION_MESSAGE, turn),))
    files = [
        FileReference("session_id", each.media_id, (stored[each.media_id].kind,))
        for message in messages[:-1]
        for each in message.attachments
    ]
    return Turn(messages, rider, tuple(files))


def append_answer(
    *,
    account_id: UUID,
    generation_id: UUID,
    text: str,
    artifacts: Iterable[Mapping[str, Any]] = (),
    structured: object = None,
    partial: bool = False,
) -> Statement:
    """Return what appends an answer to the session that awaits it, once; an empty answer only frees the session."""
    parts = parts_of_answer(text, artifacts=artifacts, structured=structured)
    parameters: dict[str, object] = {
        "account_id": account_id,
        "generation_id": generation_id,
        "parts": encode_parts(parts) if parts else None,
        "partial": partial,
    }
    return sql.APPEND_SESSION_ANSWER, parameters


def retry_turn(*, account_id: UUID, generation_id: UUID, retry_of: UUID) -> Statement:
    """Return what lets a retry answer in the session of the original, unless something was said there since."""
    parameters: dict[str, object] = {
        "account_id": account_id,
        "generation_id": generation_id,
        "retry_of": retry_of,
    }
    return sql.RETRY_SESSION_TURN, parameters


def _one_message(given: ModeInput) -> Message:
    if not MODES[given.mode].sessions:
        raise InvalidInput(f"session_id: {given.mode} has no sessions")
    if len(given.messages) != 1 or given.messages[0].role != "user":
        raise InvalidInput("with a session_id the input is the new message of the user, and nothing else")
    return given.messages[0]


async def _read_history(database: Database, session: Session, budget_tokens: int) -> Sequence[SessionMessage]:
    parameters = {
        "session_id": session.id,
        "account_id": session.account_id,
        "next_ordinal": session.messages + 1,
        "limit": MAX_HISTORY_MESSAGES,
        "bytes": max(budget_tokens, 0) * MOST_BYTES_PER_TOKEN,
    }
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.READ_SESSION_HISTORY, parameters)).fetchall()
    return [
        SessionMessage(ordinal=ordinal, role=role, parts=decode_parts(parts), partial=partial)
        for ordinal, role, parts, partial in reversed(rows)
    ]


async def _read_media(database: Database, account_id: UUID, messages: Sequence[Message]) -> Mapping[str, StoredMedia]:
    ids = {UUID(each.media_id) for message in messages for each in message.attachments}
    if not ids:
        return {}
    parameters = {"account_id": account_id, "ids": UuidArray.of(list(ids))}
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.READ_SESSION_MEDIA, parameters)).fetchall()
    return {str(media_id): StoredMedia(kind, size_bytes) for media_id, kind, size_bytes in rows}
