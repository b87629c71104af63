"""Somewhere to keep bytes: a folder of this machine or a bucket, through one interface.

An object is written once and never overwritten. Whoever comes second loses and changes nothing, so that a client and a
worker who bring the same result leave one object.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from workers.media.types import extension_of

CHUNK_BYTES: Final = 1024 * 1024
"""No more than this is read or handed over at a time."""


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that whoever has it may send, without any other credential, until its time is over."""

    method: str
    url: str
    headers: dict[str, str]
    """Must be sent as they are: they are part of what is signed."""
    expires_at_us: int


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What a store knows of an object."""

    size_bytes: int


class ObjectMissing(Exception):
    """There is no object under this key."""


class MediaWriter(Protocol):
    """An object that is being written. Nobody sees it before the commit, nor ever without one."""

    async def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            StoreUnavailable: the store does not take them.
        """
        ...

    async def commit(self) -> bool:
        """Make the object be there, whole; false if there is one under this key already, which stays as it is.

        Raises:
            StoreUnavailable: the store does not take it.
        """
        ...


class MediaStore(Protocol):
    """A place for objects. Every method but the signing ones raises `StoreUnavailable` when the store is away."""

    @property
    def is_reachable(self) -> bool:
        """Whether its URLs work from anywhere, so that providers can fetch from it."""
        ...

    async def presign_put(self, key: str, *, media_type: str, size_bytes: int, ttl_s: float) -> SignedRequest:
        """Sign the upload of exactly so many bytes of exactly this type, to where nothing is yet."""
        ...

    async def presign_get(
        self, key: str, *, media_type: str, ttl_s: float, filename: str | None = None
    ) -> SignedRequest:
        """Sign the download of an object, to be served as this type."""
        ...

    async def head(self, key: str) -> StoredObject | None:
        """Return what is under this key."""
        ...

    def writing(self, key: str, *, media_type: str) -> AbstractAsyncContextManager[MediaWriter]:
        """Open an object for writing; leaving without a commit drops what was written."""
        ...

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Read an object, or a part of it, in pieces of at most `CHUNK_BYTES`.

        Raises:
            ObjectMissing: there is none.
        """
        ...

    async def delete(self, key: str) -> None:
        """Delete an object. A second call does nothing."""
        ...

    async def forget_unfinished(self) -> int:
        """Delete what was being written a day ago by a process that died; return how much that was."""
        ...

    async def aclose(self) -> None:
        """Close connections. A second call does nothing."""
        ...


async def read_head(store: MediaStore, key: str, *, length: int) -> bytes:
    """Return the first bytes of an object.

    Raises:
        ObjectMissing: there is none.
    """
    return b"".join([piece async for piece in store.read(key, length=length)])


def content_disposition(media_type: str, filename: str | None) -> str:
    """Return how a file is to be handled: shown where a browser can, saved otherwise."""
    shown = media_type.partition("/")[0] in {"image", "audio", "video"}
    name = filename or f"media.{extension_of(media_type)}"
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)
    return f'{"inline" if shown else "attachment"}; filename="{safe}"'
