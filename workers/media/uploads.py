"""Uploads and transfers: clients send bytes straight to the store, and then have us look at them."""

import time
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from ledger.database import Database
from ledger.rows import from_us
from workers.media.errors import (
    MediaNotFound,
    MediaNotStored,
    MediaTooLarge,
    MediaTypeNotAllowed,
    TransferNotOffered,
    UploadMismatch,
    UploadMissing,
)
from workers.media.expiry import expires_at_us
from workers.media.inspecting import discard_mismatch, inspect
from workers.media.objects import MediaObject, get_media, insert_upload, read_media, record_stored, sql
from workers.media.opening import Media
from workers.media.store import ObjectMissing, SignedRequest
from workers.media.types import KIND_OF_TYPE, Limits, canonical_type
from workers.tiers import Tier

UPLOAD_TTL_S: Final = 3_600
TRANSFER_TTL_S: Final = 600


async def begin_upload(
    connection: AsyncConnection[Any],
    media: Media,
    *,
    account_id: UUID,
    media_type: str,
    size_bytes: int,
    sha256: bytes | None,
    tier: Tier,
) -> tuple[MediaObject, SignedRequest]:
    """Record an upload, and sign the request that brings exactly this many bytes of exactly this type.

    Raises:
        MediaTypeNotAllowed: files of this type are not kept.
        MediaTooLarge: it is larger than one of its kind may be.
        StoreUnavailable: there is no store.
    """
    known_type = _checked(media_type, size_bytes, media.settings.limits)
    now_us = time.time_ns() // 1_000
    found = await insert_upload(
        connection,
        account_id=account_id,
        media_type=known_type,
        size_bytes=size_bytes,
        sha256=sha256,
        put_until_us=now_us + UPLOAD_TTL_S * 1_000_000,
        expires_at_us=expires_at_us(media.settings, tier=tier, now_us=now_us),
    )
    signed = await media.store.presign_put(
        found.storage_key, media_type=known_type, size_bytes=size_bytes, ttl_s=UPLOAD_TTL_S
    )
    return found, signed


async def complete_upload(database: Database, media: Media, media_id: UUID, *, account_id: UUID | None) -> MediaObject:
    """Look at what was uploaded, and keep it. A second call finds it kept.

    Raises:
        MediaNotFound: there is no such upload.
        MediaNotStored: it was given up, because it came too late or was not what was announced.
        UploadMissing: nothing has arrived yet.
        UploadMismatch: it is not what was announced; it was deleted, and the upload has failed.
    """
    found = await get_media(database, media_id, account_id=account_id)
    if found.purpose != "upload" or found.state == "deleted":
        raise MediaNotFound(media_id)
    if found.state == "failed":
        raise MediaNotStored(media_id, state=found.state)
    return await _confirm(database, media, found)


async def begin_transfer(
    connection: AsyncConnection[Any],
    media: Media,
    media_id: UUID,
    *,
    account_id: UUID | None,
    media_type: str | None,
    size_bytes: int,
) -> tuple[MediaObject, SignedRequest]:
    """Let a client bring an offered result to the store itself; `source_url` of the result is where it is now.

    Raises:
        MediaNotFound: there is no such result.
        TransferNotOffered: the time for it is over, or it came without a URL.
        MediaTypeNotAllowed: files of this type are not kept, or not as results of this kind.
        MediaTooLarge: it is larger than one of its kind may be.
    """
    found = await read_media(connection, media_id, account_id=account_id)
    if found.purpose != "result" or found.state == "deleted":
        raise MediaNotFound(media_id)
    now_us = time.time_ns() // 1_000
    if found.state != "offered" or found.source_url is None or (found.offered_until_us or 0) < now_us:
        raise TransferNotOffered(media_id, state=found.state)
    known_type = _checked(media_type or found.media_type, size_bytes, media.settings.limits)
    if KIND_OF_TYPE[known_type] != found.kind:
        raise MediaTypeNotAllowed(known_type)
    signed = await media.store.presign_put(
        found.storage_key, media_type=known_type, size_bytes=size_bytes, ttl_s=TRANSFER_TTL_S
    )
    parameters = {"id": found.id, "account_id": found.account_id, "put_until": from_us(signed.expires_at_us)}
    if await (await connection.execute(sql.RECORD_PUT, parameters)).fetchone() is None:
        raise TransferNotOffered(media_id, state=(await read_media(connection, media_id, account_id=None)).state)
    return found, signed


async def confirm_transfer(database: Database, media: Media, media_id: UUID, *, account_id: UUID | None) -> MediaObject:
    """Look at what a client has transferred, and keep it. If a worker was faster, return what it kept.

    Raises:
        MediaNotFound: there is no such result.
        TransferNotOffered: it could not be kept, and its generation has failed.
        UploadMissing: nothing has arrived yet.
        UploadMismatch: it is not what was announced; it was deleted, and may be sent again.
    """
    found = await get_media(database, media_id, account_id=account_id)
    if found.purpose != "result" or found.state == "deleted":
        raise MediaNotFound(media_id)
    if found.state == "failed":
        raise TransferNotOffered(media_id, state=found.state)
    return await _confirm(database, media, found)


async def _confirm(database: Database, media: Media, found: MediaObject) -> MediaObject:
    if found.state == "stored":
        return found
    try:
        stored = await inspect(media.store, found, media.settings.limits)
    except ObjectMissing:
        raise UploadMissing(found.id) from None
    except UploadMismatch:
        await discard_mismatch(database, media.store, found, media.settings.limits)
        raise
    async with database.connection() as connection:
        recorded = await record_stored(connection, found, stored)
    if recorded.state != "stored":
        raise MediaNotFound(found.id)
    return recorded


def _checked(media_type: str, size_bytes: int, limits: Limits) -> str:
    known_type = canonical_type(media_type)
    if known_type is None:
        raise MediaTypeNotAllowed(media_type)
    limit_bytes = limits.of(KIND_OF_TYPE[known_type])
    if size_bytes > limit_bytes:
        raise MediaTooLarge(size_bytes=size_bytes, limit_bytes=limit_bytes)
    return known_type
