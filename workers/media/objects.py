"""Media objects as rows: what is known of an upload or a result, and whose it is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from ledger import statements
from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.media.errors import MediaNotFound
from workers.media.measuring import Measures
from workers.media.types import KIND_OF_TYPE
from workers.providers.interface import MediaKind, MediaResult

sql: Final = statements.load("workers.media")

State = Literal["awaiting_upload", "offered", "stored", "failed", "deleted"]
Purpose = Literal["upload", "result"]

LATE: Final = timedelta(hours=1)
"""The longest that bytes may still arrive for what was given up: an upload that had begun, or a copy on its way."""


class MediaObject(msgspec.Struct, frozen=True, kw_only=True):
    """One upload or result. Times are microseconds since the Unix epoch."""

    id: UUID
    account_id: UUID
    generation_id: UUID | None
    ordinal: int
    """Its place among the results of its generation, from 0."""
    purpose: Purpose
    kind: MediaKind
    media_type: str
    """As declared, until it is stored; from then on what the bytes are."""
    size_bytes: int | None
    sha256: bytes | None
    """Where we have seen all of the bytes, or have compared them with what the client announced."""
    width: int | None
    height: int | None
    duration_ms: int | None
    storage_key: str
    state: State
    source_url: str | None = msgspec.field(default=None)
    """Where the provider keeps it. Whoever has this can fetch it, so it is shown to the owner alone."""
    created_at_us: int
    offered_until_us: int | None
    expires_at_us: int | None
    deleted_at_us: int | None

    def __repr__(self) -> str:
        return f"MediaObject(id={self.id}, state={self.state!r})"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes in the store are."""

    media_type: str
    size_bytes: int
    sha256: bytes | None
    measures: Measures


async def insert_upload(
    connection: AsyncConnection[Any],
    *,
    account_id: UUID,
    media_type: str,
    size_bytes: int,
    sha256: bytes | None,
    put_until_us: int,
    expires_at_us: int | None,
) -> MediaObject:
    """Record an upload that is to come."""
    media_id = uuid7()
    parameters = {
        "id": media_id,
        "account_id": account_id,
        "kind": KIND_OF_TYPE[media_type],
        "media_type": media_type,
        "size_bytes": size_bytes,
        "sha256": sha256,
        "storage_key": storage_key(account_id, media_id),
        "put_until": from_us(put_until_us),
        "expires_at": _moment(expires_at_us),
    }
    row = await (await connection.execute(sql.INSERT_UPLOAD, parameters)).fetchone()
    assert row is not None, "an insert returns its row"
    return media_of_row(row)


async def offer_result(
    connection: AsyncConnection[Any],
    result: MediaResult,
    *,
    account_id: UUID,
    generation_id: UUID,
    ordinal: int,
    offered_until_us: int,
    expires_at_us: int | None,
) -> MediaObject:
    """Record a result that is to be kept. A second call finds the row, with the new source if it still needs one."""
    media_id = uuid7()
    parameters = {
        "id": media_id,
        "account_id": account_id,
        "generation_id": generation_id,
        "ordinal": ordinal,
        "kind": result.kind,
        "media_type": result.media_type,
        "width": result.width or None,
        "height": result.height or None,
        "duration_ms": result.duration_ms,
        "storage_key": storage_key(account_id, media_id),
        "source_url": result.url,
        "offered_until": from_us(offered_until_us),
        "expires_at": _moment(expires_at_us),
    }
    row = await (await connection.execute(sql.OFFER_RESULT, parameters)).fetchone()
    if row is None:
        row = await (await connection.execute(sql.READ_RESULT, parameters)).fetchone()
    assert row is not None, "a result that cannot be inserted is there"
    return media_of_row(row)


async def get_media(database: Database, media_id: UUID, *, account_id: UUID | None) -> MediaObject:
    """Return a media object; with `account_id`, only if it belongs to this account.

    Raises:
        MediaNotFound: there is none, or it is another account's.
    """
    async with database.connection() as connection:
        return await read_media(connection, media_id, account_id=account_id)


async def read_media(connection: AsyncConnection[Any], media_id: UUID, *, account_id: UUID | None) -> MediaObject:
    """Read a media object in a transaction of the caller's.

    Raises:
        MediaNotFound: there is none, or it is another account's.
    """
    row = await (await connection.execute(sql.READ_MEDIA, {"id": media_id, "account_id": account_id})).fetchone()
    if row is None:
        raise MediaNotFound(media_id)
    return media_of_row(row)


async def lock_media(connection: AsyncConnection[Any], found: MediaObject) -> MediaObject:
    """Read it again, and keep others from deciding about it until the transaction ends."""
    parameters = {"id": found.id, "account_id": found.account_id}
    row = await (await connection.execute(sql.LOCK_MEDIA, parameters)).fetchone()
    assert row is not None, "rows are never deleted"
    return media_of_row(row)


async def list_media(
    database: Database, *, account_id: UUID | None, limit: int, before_id: UUID | None = None
) -> list[MediaObject]:
    """Return media objects, newest first, of one account or of all; not those that failed or were deleted."""
    parameters = {"account_id": account_id, "before_id": before_id, "limit": limit}
    statement = sql.LIST_MEDIA if account_id is None else sql.LIST_ACCOUNT_MEDIA
    async with database.connection() as connection:
        rows = await (await connection.execute(statement, parameters)).fetchall()
    return [media_of_row(row) for row in rows]


async def record_stored(connection: AsyncConnection[Any], found: MediaObject, stored: Stored) -> MediaObject:
    """Record what the bytes are; where another did so before, or it was deleted, return what is there."""
    parameters = {
        "id": found.id,
        "account_id": found.account_id,
        "media_type": stored.media_type,
        "kind": KIND_OF_TYPE[stored.media_type],
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "width": stored.measures.width,
        "height": stored.measures.height,
        "duration_ms": stored.measures.duration_ms,
    }
    row = await (await connection.execute(sql.RECORD_STORED, parameters)).fetchone()
    return await read_media(connection, found.id, account_id=found.account_id) if row is None else media_of_row(row)


async def record_failed(connection: AsyncConnection[Any], found: MediaObject) -> None:
    """Give up on what was not stored; its bytes, if any, are deleted for good once none can arrive any more."""
    parameters = {"id": found.id, "account_id": found.account_id, "late": LATE}
    await connection.execute(sql.RECORD_FAILED, parameters)


async def record_deleted(connection: AsyncConnection[Any], found: MediaObject) -> None:
    """Delete it for its owner. A second call changes nothing."""
    parameters = {"id": found.id, "account_id": found.account_id, "late": LATE}
    await connection.execute(sql.RECORD_DELETED, parameters)


def storage_key(account_id: UUID, media_id: UUID) -> str:
    """Return where the bytes of a media object are in the store."""
    return f"{account_id}/{media_id}"


def media_of_row(row: Sequence[Any]) -> MediaObject:
    """Build a media object from the columns that `read_media.sql` and its like return."""
    (
        media_id, account_id, generation_id, ordinal, purpose, kind, media_type, size_bytes, sha256, width, height,
        duration_ms, key, state, source_url, created_at, offered_until, expires_at, deleted_at,
    ) = row  # fmt: skip
    return MediaObject(
        id=media_id,
        account_id=account_id,
        generation_id=generation_id,
        ordinal=ordinal,
        purpose=purpose,
        kind=kind,
        media_type=media_type,
        size_bytes=size_bytes,
        sha256=None if sha256 is None else bytes(sha256),
        width=width,
        height=height,
        duration_ms=duration_ms,
        storage_key=key,
        state=state,
        source_url=source_url,
        created_at_us=to_us(created_at),
        offered_until_us=_us(offered_until),
        expires_at_us=_us(expires_at),
        deleted_at_us=_us(deleted_at),
    )


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)
