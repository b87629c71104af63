"""Sessions and what was said in them, as they are kept. How things come to be said is in `workers.sessions`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from psycopg.errors import ForeignKeyViolation
from uuid_utils.compat import uuid7

from ledger import statements
from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.errors import SessionNotFound
from workers.session_history import Part, decode_parts

sql: Final = statements.load("workers")


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
