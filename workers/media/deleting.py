"""Deleting a media object because its owner says so."""

from uuid import UUID

import structlog

from ledger.database import Database
from workers.media.errors import MediaNotFound, StoreUnavailable
from workers.media.objects import get_media, record_deleted
from workers.media.store import MediaStore

_log = structlog.stdlib.get_logger(__name__)


async def delete_media(database: Database, store: MediaStore, media_id: UUID, *, account_id: UUID | None) -> None:
    """Delete a media object and its bytes. A second call changes nothing.

    Nobody is shown it from here on. Its bytes go now, or with the next sweep where the store is away.

    Raises:
        MediaNotFound: there is none, or it is another account's.
    """
    found = await get_media(database, media_id, account_id=account_id)
    if found.state == "failed":
        raise MediaNotFound(media_id)
    async with database.connection() as connection:
        await record_deleted(connection, found)
    try:
        await store.delete(found.storage_key)
    except StoreUnavailable as error:
        _log.warning("media_left_to_sweeper", media_id=str(media_id), error=str(error))
