"""A process of its own that copies a result: to be measured, or to be killed in the middle.

`python -m tests.media_process URL [MEDIA_ID]` copies a film to the store of its environment; with the id of an offered
result, it keeps that one. It prints by how many bytes its memory grew.
"""

import asyncio
import os
import resource
import sys
from uuid import UUID

from ledger.database import Database
from tests.media_files import mp4
from tests.media_stores import put
from workers.media.copying import copy_result
from workers.media.fetching import Fetcher
from workers.media.objects import get_media
from workers.media.opening import Media, open_media
from workers.media.results import ResultKeeper
from workers.providers.interface import MediaResult

KEY = "account/film"


def largest_memory() -> int:
    """The most bytes of memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def measure(media: Media, fetcher: Fetcher, made: MediaResult) -> int:
    # Connections, buffers of libraries and the like are there before.
    await put(media.store, "account/first", mp4(), media_type="video/mp4")
    before = largest_memory()
    await copy_result(
        made, store=media.store, key=KEY, fetcher=fetcher, provider="replicate", limits=media.settings.limits
    )
    return largest_memory() - before


async def keep(media: Media, fetcher: Fetcher, made: MediaResult, media_id: UUID) -> None:
    async with Database(os.environ["DATABASE_URL"]) as database:
        found = await get_media(database, media_id, account_id=None)
        await ResultKeeper(database, media, fetcher).keep(found, made, provider="replicate")


async def main(url: str, media_id: str | None) -> None:
    made = MediaResult(kind="video", media_type="video/mp4", url=url)
    media = open_media(os.environ)
    async with Fetcher(media.settings) as fetcher:
        if media_id is None:
            sys.stdout.write(f"{await measure(media, fetcher, made)}\n")
        else:
            await keep(media, fetcher, made, UUID(media_id))
    await media.store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
