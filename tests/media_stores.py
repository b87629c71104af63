"""Stores that tests keep media in, and what goes around them."""

import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.commands import OpenAccount
from ledger.writer import LedgerWriter
from tests.fakes import s3_server
from workers.media.opening import Media, open_media
from workers.media.store import MediaStore
from workers.providers.interface import MediaKind, MediaResult

BUCKET = "media"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": s3_server.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": s3_server.SECRET_KEY,
    "AWS_DEFAULT_REGION": s3_server.REGION,
}


def local_environment(folder: Path, **more: str) -> dict[str, str]:
    return {"HOLDFAST_DATA_DIR": str(folder), "HOLDFAST_MEDIA_ALLOW_HOSTS": "127.0.0.1", **more}


def bucket_environment(url: str, **more: str) -> dict[str, str]:
    return {
        "HOLDFAST_MEDIA_BUCKET": BUCKET,
        "HOLDFAST_MEDIA_ENDPOINT": url,
        "HOLDFAST_MEDIA_PREFIX": "kept/",
        "HOLDFAST_MEDIA_ALLOW_HOSTS": "127.0.0.1",
        **more,
    }


@contextlib.asynccontextmanager
async def opened(environment: Mapping[str, str]) -> AsyncGenerator[Media]:
    media = open_media({**os.environ, **environment})
    try:
        yield media
    finally:
        await media.store.aclose()


async def put(store: MediaStore, key: str, content: bytes, *, media_type: str = "image/png") -> bool:
    async with store.writing(key, media_type=media_type) as writer:
        await writer.write(content)
        return await writer.commit()


async def content_of(store: MediaStore, key: str) -> bytes:
    return b"".join([piece async for piece in store.read(key)])


def result(
    content: bytes | None = None,
    *,
    url: str | None = None,
    kind: MediaKind = "image",
    media_type: str = "image/png",
    url_expires_in_s: float | None = None,
) -> MediaResult:
    return MediaResult(kind=kind, media_type=media_type, content=content, url=url, url_expires_in_s=url_expires_in_s)


async def open_account(writer: LedgerWriter) -> UUID:
    account_id = uuid7()
    await writer.submit(OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id)))
    return account_id


def rows_of(database_url: str, account_id: UUID) -> list[tuple[str, int | None, str | None]]:
    """State, size and source of every media object of an account."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT state, size_bytes, source_url FROM media_objects WHERE account_id = %s ORDER BY id", [account_id]
        ).fetchall()
