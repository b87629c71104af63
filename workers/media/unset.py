"""The store of an installation that has neither a bucket nor a data directory: it says so whenever it is used."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager

from workers.media.errors import StoreUnavailable
from workers.media.store import MediaWriter, SignedRequest, StoredObject


class UnsetStore:
    """Refuses everything, so that an installation that only writes text needs no store."""

    @property
    def is_reachable(self) -> bool:
        """Never."""
        return False

    async def presign_put(self, key: str, *, media_type: str, size_bytes: int, ttl_s: float) -> SignedRequest:
        """Refuse."""
        raise _unset()

    async def presign_get(
        self, key: str, *, media_type: str, ttl_s: float, filename: str | None = None
    ) -> SignedRequest:
        """Refuse."""
        raise _unset()

    async def head(self, key: str) -> StoredObject | None:
        """Refuse."""
        raise _unset()

    def writing(self, key: str, *, media_type: str) -> AbstractAsyncContextManager[MediaWriter]:
        """Refuse."""
        raise _unset()

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Refuse."""
        raise _unset()

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise _unset()

    async def forget_unfinished(self) -> int:
        """Nothing was ever begun."""
        return 0

    async def aclose(self) -> None:
        """Nothing is held open."""


def _unset() -> StoreUnavailable:
    return StoreUnavailable("no place for media is set up: set HOLDFAST_MEDIA_BUCKET or HOLDFAST_DATA_DIR")
