"""Copying a result from its provider to the store, in pieces, with bounded memory, never half."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog

from workers.media.errors import StoreUnavailable
from workers.media.failures import MediaRefused, MediaUnavailable
from workers.media.fetching import Fetcher
from workers.media.measuring import Measures, measure
from workers.media.store import CHUNK_BYTES, MediaStore, ObjectMissing
from workers.media.types import HEAD_BYTES, Limits, settle_type
from workers.providers.interface import MediaResult

ATTEMPTS: Final = 4
PAUSE_S: Final = 0.5
"""Doubles with each attempt, and a random part of it is waited."""

_log: Final = structlog.stdlib.get_logger(__name__)


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied, told by its bytes."""

    media_type: str
    size_bytes: int
    sha256: bytes
    measures: Measures
    was_first: bool
    """False: another had put an object there meanwhile, which stays, and ours was dropped."""


async def copy_result(
    result: MediaResult, *, store: MediaStore, key: str, fetcher: Fetcher, provider: str, limits: Limits
) -> Copied:
    """Put the bytes of a result under `key`: those it has, or those at its URL.

    Tried again from the beginning where the connection or the store failed, never where the answer was a clear no.

    Raises:
        MediaLost: the provider does not have it any more.
        MediaRefused: it is not one we fetch or keep.
        MediaUnavailable: it could not be copied in `ATTEMPTS` attempts.
    """
    limit_bytes = limits.of(result.kind)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if result.content is not None:
                return await _keep(_split(result.content, provider, limit_bytes), result, store, key, provider)
            async with fetcher.fetching(result.url or "", provider=provider, limit_bytes=limit_bytes) as source:
                return await _keep(source.pieces, result, store, key, provider)
        except (MediaUnavailable, StoreUnavailable, ObjectMissing) as error:
            _log.warning("media_copy_failed", key=key, provider=provider, attempt=attempt, error=str(error))
            if attempt == ATTEMPTS:
                raise MediaUnavailable(provider=provider, provider_message=str(error)) from error
        await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
    raise AssertionError("unreachable")


async def _keep(
    pieces: AsyncIterator[bytes], result: MediaResult, store: MediaStore, key: str, provider: str
) -> Copied:
    head, rest = await _read_head(pieces)
    media_type = settle_type(head, result.media_type, kind=result.kind)
    if media_type is None:
        raise MediaRefused(provider=provider, provider_message=f"the result is no {result.kind} of a type that is kept")
    digest = hashlib.sha256(head)
    size_bytes = len(head)
    async with store.writing(key, media_type=media_type) as writer:
        await writer.write(head)
        waiting = bytearray()
        async for piece in rest:
            digest.update(piece)
            size_bytes += len(piece)
            waiting += piece
            if len(waiting) >= CHUNK_BYTES:
                await writer.write(bytes(waiting))
                waiting.clear()
        await writer.write(bytes(waiting))
        was_first = await writer.commit()
    return Copied(
        media_type=media_type,
        size_bytes=size_bytes,
        sha256=digest.digest(),
        measures=measure(media_type, head),
        was_first=was_first,
    )


async def _read_head(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head), pieces


async def _split(content: bytes, provider: str, limit_bytes: int) -> AsyncIterator[bytes]:
    if len(content) > limit_bytes:
        raise MediaRefused(provider=provider, provider_message=f"the result has more than {limit_bytes} bytes")
    for start in range(0, len(content), HEAD_BYTES):
        yield content[start : start + HEAD_BYTES]
