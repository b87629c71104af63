"""Conversations that the platform keeps.

What the user says commits with the generation that answers it, and the answer with the end of that generation; so a
crash leaves neither half. In admission:

    turn = await take_turn(database, given, account_id=…, session_id=…, generation_id=…, kinds=…, budget_tokens=…)
    # the provider is given turn.messages
    await writer.submit(freeze, riders=[…, turn.rider])      # RiderRefused: SessionBusy

and in the same transaction as every terminal row:

    append_answer(account_id=…, generation_id=…, text=…, artifacts=…, structured=…, partial=…)

which does nothing where no session awaits this generation. A generation that is free has no ledger command: there the
guard of the rider is asked first, and its writes follow, in the transaction of the admission.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from psycopg.errors import ForeignKeyViolation
from uuid_utils.compat import uuid7

from ledger import statements
from ledger.batch import Rider, Statement
from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.errors import InvalidInput, SessionNotFound
from workers.modes import MODES, ModeInput
from workers.providers import MediaKind, Message
from workers.session_history import (
    Part,
    SessionMessage,
    conversation,
    decode_parts,
    encode_parts,
    parts_of_answer,
    parts_of_message,
)

sql: Final = statements.load("workers")

MAX_HISTORY_MESSAGES: Final = 1_000
MOST_BYTES_PER_TOKEN: Final = 8
"""How much of the history is read for a budget of tokens: more than any text of that many tokens takes to store."""


class Session(Struct, frozen=True, kw_only=True):
    """One conversation."""

    id: UUID
    account_id: UUID
    model: str | None
    """What answers where a request does not say."""
    title: str | None
    system: str | None
    messages: int
    """How many there are."""
    created_at: datetime
    updated_at: datetime
    busy: bool
    """Whether an answer is being written."""


class KeptMessage(Struct, frozen=True, kw_only=True):
    """A message as it is kept. With `partial` it broke off."""

    ordinal: int
    role: str
    parts: tuple[Part, ...]
    generation_id: UUID
    partial: bool
    created_at: datetime


class Turn(Struct, frozen=True):
    """What one message leads to: what the provider is given, and what commits with the generation."""

    messages: tuple[Message, ...]
    rider: Rider


async def open_session(
    database: Database, account_id: UUID, *, model: str | None, title: str | None, system: str | None
) -> Session:
    """Open a session.

    Raises:
        AccountNotFound: there is no such account.
    """
    session_id = uuid7()
    parameters = {
        "id": session_id,
        "account_id": account_id,
        "model": model,
        "title": title,
        "system": None if system is None else system.encode(),
    }
    try:
        async with database.connection() as connection:
            row = await (await connection.execute(sql.INSERT_SESSION, parameters)).fetchone()
    except ForeignKeyViolation:
        raise AccountNotFound(account_id) from None
    assert row is not None, "an insert returns its row"
    return Session(
        id=session_id,
        account_id=account_id,
        model=model,
        title=title,
        system=system,
        messages=0,
        created_at=row[0],
        updated_at=row[0],
        busy=False,
    )


async def get_session(database: Database, session_id: UUID, *, account_id: UUID | None = None) -> Session:
    """Return one session; with `account_id`, only if it belongs to this account.

    Raises:
        SessionNotFound: there is none, or it is another account's.
    """
    async with database.connection() as connection:
        cursor = await connection.execute(sql.READ_SESSION, {"id": session_id, "account_id": account_id})
        row = await cursor.fetchone()
    if row is None:
        raise SessionNotFound(session_id)
    return _session_of_row(row)


async def list_sessions(
    database: Database, *, account_id: UUID | None, before: UUID | None, limit: int
) -> list[Session]:
    """Return sessions, newest first, of one account or of all."""
    statement = sql.LIST_SESSIONS if account_id is None else sql.LIST_ACCOUNT_SESSIONS
    parameters = {"account_id": account_id, "before_id": before, "limit": limit}
    async with database.connection() as connection:
        rows = await (await connection.execute(statement, parameters)).fetchall()
    return [_session_of_row(row) for row in rows]


async def list_messages(database: Database, session: Session, *, after: int, limit: int) -> list[KeptMessage]:
    """Return what was said after this ordinal, in order."""
    parameters = {"session_id": session.id, "account_id": session.account_id, "after": after, "limit": limit}
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.LIST_SESSION_MESSAGES, parameters)).fetchall()
    return [
        KeptMessage(
            ordinal=ordinal,
            role=role,
            parts=decode_parts(parts),
            generation_id=generation_id,
            partial=partial,
            created_at=created_at,
        )
        for ordinal, role, parts, generation_id, partial, created_at in rows
    ]


async def delete_session(database: Database, session_id: UUID, *, account_id: UUID | None) -> None:
    """Forget a session and what was said in it. What runs in it goes on, and its answer is not kept here.

    Raises:
        SessionNotFound: there is none, or it is another account's.
    """
    async with database.connection() as connection:
        cursor = await connection.execute(sql.DELETE_SESSION, {"id": session_id, "account_id": account_id})
        if await cursor.fetchone() is None:
            raise SessionNotFound(session_id)


async def take_turn(
    database: Database,
    given: ModeInput,
    *,
    account_id: UUID,
    session_id: UUID,
    generation_id: UUID,
    budget_tokens: int,
    kinds: Mapping[str, MediaKind] | None = None,
    count: Callable[[Message], int] | None = None,
) -> Turn:
    """Say something in a session: return what its generation is given, and the rider that appends the message.

    The rider is refused if anything was said in the session since, or an answer is being written. `budget_tokens` is
    what history and message may come to together, by `count` of each message; `kinds` tells what attachments are.

    Raises:
        SessionNotFound: there is none, or it is another account's.
        InvalidInput: the mode has no sessions, or the input is not one message of the user.
    """
    said = _one_message(given)
    session = await get_session(database, session_id, account_id=account_id)
    history = await _read_history(database, session, budget_tokens)
    messages = conversation(history, said, system=session.system, budget_tokens=budget_tokens, count=count)
    turn: dict[str, object] = {
        "session_id": session_id,
        "account_id": account_id,
        "generation_id": generation_id,
        "next_ordinal": session.messages + 1,
        "parts": encode_parts(parts_of_message(said, kinds or {})),
    }
    rider = Rider(guard=(sql.GUARD_SESSION_TURN, turn), writes=((sql.APPEND_SESSION_MESSAGE, turn),))
    return Turn(messages, rider)


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


def _session_of_row(row: Sequence[Any]) -> Session:
    session_id, account_id, model, title, system, next_ordinal, created_at, updated_at, busy = row
    return Session(
        id=session_id,
        account_id=account_id,
        model=model,
        title=title,
        system=None if system is None else bytes(system).decode(),
        messages=next_ordinal - 1,
        created_at=created_at,
        updated_at=updated_at,
        busy=busy,
    )
