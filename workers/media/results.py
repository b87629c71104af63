"""Keeping what a generation made, before its provider deletes it.

A result is *offered* first: a row, from which the place of its bytes follows. Then its bytes are brought there by a
worker or, where the client asked for it, by the client within a grace time. Both write to the same place, where only
the first succeeds, and what is there is what is recorded; so it does not matter who was first, how often it is tried,
or where a worker died in between.
"""

import asyncio
import time
from typing import Final
from uuid import UUID

import structlog

from ledger.database import Database
from workers.media.copying import copy_result
from workers.media.errors import StoreUnavailable, UploadMismatch
from workers.media.expiry import expires_at_us
from workers.media.failures import MediaUnavailable
from workers.media.fetching import Fetcher
from workers.media.inspecting import discard_mismatch, inspect
from workers.media.objects import (
    MediaObject,
    Stored,
    get_media,
    offer_result,
    record_stored,
)
from workers.media.opening import Media
from workers.media.store import ObjectMissing
from workers.providers.interface import MediaResult
from workers.tiers import Tier

ROUNDS: Final = 3
"""How often bytes that another put there, and that are not the result, are replaced."""

POLL_S: Final = 0.5
LIFE_PART: Final = 0.5
"""The part of a source's life that we wait for a client at most; the rest is for copying it ourselves."""

_log: Final = structlog.stdlib.get_logger(__name__)


class ResultKeeper:
    """Offers and keeps results; one per worker process."""

    def __init__(self, database: Database, media: Media, fetcher: Fetcher) -> None:
        self._database = database
        self._media = media
        self._fetcher = fetcher

    async def offer(
        self, generation_id: UUID, account_id: UUID, ordinal: int, result: MediaResult, *, tier: Tier
    ) -> MediaObject:
        """Record that there is a result, the `ordinal`-th of its generation from 0.

        A second call, by this or a later attempt, finds the row; if the bytes are there already it is `stored`.
        """
        now_us = time.time_ns() // 1_000
        settings = self._media.settings
        async with self._database.connection() as connection:
            return await offer_result(
                connection,
                result,
                account_id=account_id,
                generation_id=generation_id,
                ordinal=ordinal,
                offered_until_us=now_us + round(settings.transfer_grace_s * 1_000_000),
                expires_at_us=expires_at_us(settings, tier=tier, now_us=now_us),
            )

    async def keep(self, found: MediaObject, result: MediaResult, *, provider: str) -> MediaObject:
        """Bring the bytes of an offered result to the store, unless they are there; return what is recorded.

        Its state is `stored`; or `deleted` where its owner did not want it any more; or `failed` where its generation
        has ended without it, in the hands of another worker. What cannot be kept stays offered, because that may only
        be so from here; the sweeper gives it up when its generation has ended.

        Raises:
            MediaLost: the provider does not have it any more.
            MediaRefused: it is not one we fetch or keep.
            MediaUnavailable: it could not be copied, or the store is away.
        """
        if found.state != "offered":
            return found
        for _ in range(ROUNDS):
            stored = await self._already_there(found, provider) or await self._copy(found, result, provider)
            if stored is not None:
                return await self._record(found, stored)
        raise MediaUnavailable(provider=provider, provider_message="others keep putting something else in its place")

    async def keep_or_wait(
        self, found: MediaObject, result: MediaResult, *, provider: str, grace_s: float | None = None
    ) -> MediaObject:
        """Give the client time to transfer an offered result itself, then do as `keep` does.

        The time ends with the grace, or when half of the source's life is over.

        Raises:
            MediaFailure: as `keep`.
        """
        if result.url is not None and found.state == "offered":
            found = await self._until_transferred(found, self._patience_s(result, grace_s))
        return await self.keep(found, result, provider=provider)

    def _patience_s(self, result: MediaResult, grace_s: float | None) -> float:
        patience_s = self._media.settings.transfer_grace_s if grace_s is None else grace_s
        life_s = result.url_expires_in_s
        return patience_s if life_s is None else min(patience_s, life_s * LIFE_PART)

    async def _until_transferred(self, found: MediaObject, patience_s: float) -> MediaObject:
        ends_s = time.monotonic() + patience_s
        while found.state == "offered" and (left_s := ends_s - time.monotonic()) > 0:
            await asyncio.sleep(min(POLL_S, left_s))
            found = await get_media(self._database, found.id, account_id=found.account_id)
        return found

    async def _already_there(self, found: MediaObject, provider: str) -> Stored | None:
        """Return what a client, or an earlier attempt that died before it could record it, has put there."""
        store, limits = self._media.store, self._media.settings.limits
        try:
            return await inspect(store, found, limits, with_digest=True)
        except ObjectMissing:
            return None
        except UploadMismatch:
            await discard_mismatch(self._database, store, found, limits)
            return None
        except StoreUnavailable as error:
            raise MediaUnavailable(provider=provider, provider_message=str(error)) from error

    async def _copy(self, found: MediaObject, result: MediaResult, provider: str) -> Stored | None:
        copied = await copy_result(
            result,
            store=self._media.store,
            key=found.storage_key,
            fetcher=self._fetcher,
            provider=provider,
            limits=self._media.settings.limits,
        )
        if not copied.was_first:
            return None
        return Stored(
            media_type=copied.media_type,
            size_bytes=copied.size_bytes,
            sha256=copied.sha256,
            measures=copied.measures,
        )

    async def _record(self, found: MediaObject, stored: Stored) -> MediaObject:
        async with self._database.connection() as connection:
            recorded = await record_stored(connection, found, stored)
        if recorded.state != "stored":
            # Deleted or given up while it was copied. Should this not come to be, the sweeper does it an hour later.
            _log.info("media_kept_in_vain", media_id=str(found.id), state=recorded.state)
            await self._media.store.delete(found.storage_key)
        return recorded
