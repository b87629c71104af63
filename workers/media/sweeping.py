"""What time brings about for media: what expired or was given up is deleted, row first, then bytes, then done.

A row that is marked is not served any more, and has its bytes deleted until that is recorded; so dying in between loses
no work, and deleting twice does no harm.
"""

from datetime import timedelta
from typing import Final

import structlog

from ledger.database import Database
from workers.media.errors import StoreUnavailable
from workers.media.objects import LATE, sql
from workers.media.store import MediaStore
from workers.media.uploads import UPLOAD_TTL_S

BATCH: Final = 200
INTERVAL_S: Final = 30.0
UNFINISHED_INTERVAL_S: Final = 3_600.0

UPLOAD_LIFE: Final = timedelta(seconds=UPLOAD_TTL_S)
RESULT_LIFE: Final = timedelta(days=1)
"""Longer than any generation lives: no worker comes back for a result after that."""

_log: Final = structlog.stdlib.get_logger(__name__)


async def sweep_media(database: Database, store: MediaStore) -> int:
    """Expire, give up and delete up to `BATCH` media objects of each sort; return how many of the fullest."""
    expiring = {"limit": BATCH, "late": LATE}
    abandoning = {**expiring, "upload_life": UPLOAD_LIFE, "result_life": RESULT_LIFE}
    async with database.connection() as connection:
        expired = len(await (await connection.execute(sql.EXPIRE_MEDIA, expiring)).fetchall())
        abandoned = len(await (await connection.execute(sql.ABANDON_MEDIA, abandoning)).fetchall())
    purged = 0
    try:
        while purged < BATCH and await _purge_one(database, store):
            purged += 1
    except StoreUnavailable as error:
        _log.warning("media_not_purged", error=str(error))
    return max(expired, abandoned, purged)


async def forget_unfinished(store: MediaStore) -> int:
    """Delete what was being written when a process died; return how much that was."""
    try:
        return await store.forget_unfinished()
    except StoreUnavailable as error:
        _log.warning("unfinished_media_not_forgotten", error=str(error))
        return 0


async def _purge_one(database: Database, store: MediaStore) -> bool:
    """Delete the bytes of one media object, while nobody can offer it anew; false if there is none to be deleted."""
    async with database.connection() as connection:
        row = await (await connection.execute(sql.LOCK_PURGEABLE)).fetchone()
        if row is None:
            return False
        media_id, account_id, key = row
        await store.delete(key)
        await connection.execute(sql.RECORD_PURGED, {"id": media_id, "account_id": account_id})
    return True
