"""Looking at bytes that someone else put into the store: what they are, and whether they are what they were to be."""

import hashlib
import hmac

import structlog

from ledger.database import Database
from workers.media.errors import UploadMismatch
from workers.media.measuring import measure
from workers.media.objects import MediaObject, Stored, lock_media, record_failed
from workers.media.store import MediaStore, ObjectMissing, read_head
from workers.media.types import HEAD_BYTES, Limits, settle_type

_log = structlog.stdlib.get_logger(__name__)


async def inspect(store: MediaStore, found: MediaObject, limits: Limits, *, with_digest: bool = False) -> Stored:
    """Say what the bytes are; their digest too where the client announced one, or it is asked for.

    Raises:
        ObjectMissing: there are none.
        UploadMismatch: they are not what was announced, or nothing that is kept.
        StoreUnavailable: the store does not answer.
    """
    there = await store.head(found.storage_key)
    if there is None:
        raise ObjectMissing(found.storage_key)
    announced = found.size_bytes
    if announced is not None and there.size_bytes != announced:
        raise UploadMismatch(f"it has {there.size_bytes} bytes instead of {announced}")
    if there.size_bytes > limits.of(found.kind):
        raise UploadMismatch(f"it has {there.size_bytes} bytes, which is too many")
    head = await read_head(store, found.storage_key, length=HEAD_BYTES)
    media_type = settle_type(head, found.media_type, kind=found.kind)
    if media_type is None or (found.purpose == "upload" and media_type != found.media_type):
        raise UploadMismatch(f"its bytes are not those of {found.media_type}")
    digest = await _digest(store, found.storage_key) if with_digest or found.sha256 is not None else None
    if found.sha256 is not None and digest is not None and not hmac.compare_digest(found.sha256, digest):
        raise UploadMismatch("its SHA-256 is another")
    return Stored(media_type=media_type, size_bytes=there.size_bytes, sha256=digest, measures=measure(media_type, head))


async def discard_mismatch(database: Database, store: MediaStore, found: MediaObject, limits: Limits) -> None:
    """Delete bytes that are not what they were to be; an upload has failed with them, an offered result waits on.

    The row is locked and the bytes are looked at again, so that of several who saw the wrong bytes none deletes the
    right ones that another has put in their place.
    """
    async with database.connection() as connection:
        current = await lock_media(connection, found)
        if current.state not in {"awaiting_upload", "offered"}:
            return
        try:
            await inspect(store, current, limits)
        except ObjectMissing:
            return
        except UploadMismatch as mismatch:
            _log.info("media_discarded", media_id=str(found.id), reason=str(mismatch))
            await store.delete(current.storage_key)
            if current.purpose == "upload":
                await record_failed(connection, current)


async def _digest(store: MediaStore, key: str) -> bytes:
    digest = hashlib.sha256()
    async for piece in store.read(key):
        digest.update(piece)
    return digest.digest()
