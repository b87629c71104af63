"""The files that a generation's input refers to, as providers take them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from ledger.arrays import UuidArray
from ledger.database import Database
from workers.media.errors import MediaNotFound, MediaNotStored, MediaTooLarge
from workers.media.objects import MediaObject, media_of_row, sql
from workers.media.opening import Media
from workers.media.store import ObjectMissing
from workers.providers.interface import InputFile

INLINE_LIMIT_BYTES: Final = 20_000_000
"""How much of content a call takes along, all its files together, where providers cannot fetch from our store."""

URL_TTL_S: Final = 3_600.0


async def check_inputs(
    database: Database, media: Media, media_ids: Sequence[str], *, account_id: UUID
) -> Mapping[str, InputFile]:
    """Return what is known of these files, by the ids they were asked for; nothing is read from the store.

    Raises:
        MediaNotFound: one does not exist, or is another account's.
        MediaNotStored: one is not confirmed yet, or not there any more.
        MediaTooLarge: they are too large to be taken along.
    """
    found = await _read(database, media, media_ids, account_id)
    return {media_id: _input(row) for media_id, row in found.items()}


async def resolve_inputs(
    database: Database, media: Media, media_ids: Sequence[str], *, account_id: UUID, ttl_s: float = URL_TTL_S
) -> Mapping[str, InputFile]:
    """Return these files with a URL that a provider can fetch from or, where it could not, with their content.

    Raises:
        MediaError: as `check_inputs`; or the store does not answer.
    """
    found = await _read(database, media, media_ids, account_id)
    return {media_id: await _resolve(media, row, ttl_s) for media_id, row in found.items()}


async def _resolve(media: Media, row: MediaObject, ttl_s: float) -> InputFile:
    store = media.store
    if store.is_reachable:
        signed = await store.presign_get(row.storage_key, media_type=row.media_type, ttl_s=ttl_s)
        return _input(row, url=signed.url)
    try:
        return _input(row, content=b"".join([piece async for piece in store.read(row.storage_key)]))
    except ObjectMissing:
        raise MediaNotStored(row.id, state=row.state) from None


async def _read(database: Database, media: Media, media_ids: Sequence[str], account_id: UUID) -> dict[str, MediaObject]:
    wanted = {media_id: _parse(media_id) for media_id in media_ids}
    if not wanted:
        return {}
    async with database.connection() as connection:
        rows = await _rows(connection, list(set(wanted.values())), account_id)
    found: dict[str, MediaObject] = {}
    for given, media_id in wanted.items():
        row = rows.get(media_id)
        if row is None or row.state == "deleted":
            raise MediaNotFound(given)
        if row.state != "stored":
            raise MediaNotStored(row.id, state=row.state)
        found[given] = row
    size_bytes = sum(row.size_bytes or 0 for row in found.values())
    if not media.store.is_reachable and size_bytes > INLINE_LIMIT_BYTES:
        raise MediaTooLarge(size_bytes=size_bytes, limit_bytes=INLINE_LIMIT_BYTES)
    return found


async def _rows(connection: AsyncConnection[Any], ids: list[UUID], account_id: UUID) -> dict[UUID, MediaObject]:
    parameters = {"account_id": account_id, "ids": UuidArray.of(ids)}
    rows = await (await connection.execute(sql.READ_INPUTS, parameters)).fetchall()
    found = [media_of_row(row) for row in rows]
    return {row.id: row for row in found}


def _parse(media_id: str) -> UUID:
    try:
        return UUID(media_id)
    except ValueError:
        raise MediaNotFound(media_id[:100]) from None


def _input(row: MediaObject, *, url: str | None = None, content: bytes | None = None) -> InputFile:
    assert row.size_bytes is not None, "what is stored has a size"
    return InputFile(
        media_id=str(row.id),
        kind=row.kind,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        width=row.width,
        height=row.height,
        duration_ms=row.duration_ms,
        url=url,
        content=content,
    )
