"""Objects as files of this machine, served by our API under signed URLs.

A file appears under its name in one step, whole and on disk, or not at all: it is written under another name and then
linked, which fails where the name is taken.
"""

import asyncio
import contextlib
import os
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from workers.media.errors import StoreUnavailable
from workers.media.signing import Grant, UrlSigner
from workers.media.store import CHUNK_BYTES, ObjectMissing, SignedRequest, StoredObject

UNFINISHED: Final = ".unfinished"
UNFINISHED_LIFE_S: Final = 86_400.0
PRIVATE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*)*", re.ASCII)

Result = TypeVar("Result")


class LocalStore:
    """A folder of files. All processes of the installation see the same folder."""

    def __init__(self, folder: Path, signer: UrlSigner, *, is_reachable: bool) -> None:
        self._folder = folder
        self.signer = signer
        self._is_reachable = is_reachable

    @property
    def is_reachable(self) -> bool:
        """Whether the API has a public address."""
        return self._is_reachable

    async def presign_put(self, key: str, *, media_type: str, size_bytes: int, ttl_s: float) -> SignedRequest:
        """Sign an upload to our API."""
        grant = Grant(method="PUT", key=key, expires_at_s=_until(ttl_s), media_type=media_type, size_bytes=size_bytes)
        headers = {"Content-Type": media_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        return self.signer.sign(grant, headers=headers)

    async def presign_get(
        self, key: str, *, media_type: str, ttl_s: float, filename: str | None = None
    ) -> SignedRequest:
        """Sign a download from our API."""
        grant = Grant(method="GET", key=key, expires_at_s=_until(ttl_s), media_type=media_type, filename=filename)
        return self.signer.sign(grant, headers={})

    async def head(self, key: str) -> StoredObject | None:
        """Return the size of a file."""
        try:
            return StoredObject(size_bytes=(await _doing(self._path(key).stat)).st_size)
        except ObjectMissing:
            return None

    @contextlib.asynccontextmanager
    async def writing(self, key: str, *, media_type: str) -> AsyncGenerator["LocalWriter"]:
        """Write beside the place; `media_type` is kept by whoever keeps the key."""
        del media_type
        unfinished = self._folder / UNFINISHED / secrets.token_hex(16)
        file = await _doing(lambda: _create(unfinished))
        try:
            yield LocalWriter(file, unfinished, self._path(key))
        finally:
            await asyncio.shield(asyncio.to_thread(_drop, file, unfinished))

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Read from a file."""
        path = self._path(key)
        file = await _doing(lambda: path.open("rb"))
        left = length
        try:
            await _doing(lambda: file.seek(start))
            while left is None or left > 0:
                wanted = CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)
                piece = await _doing(lambda: file.read(wanted))  # noqa: B023 - awaited before the next round
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        """Delete a file."""
        path = self._path(key)
        await _doing(lambda: path.unlink(missing_ok=True))

    async def forget_unfinished(self) -> int:
        """Delete the files that processes which died have left behind."""
        return await _doing(lambda: _forget(self._folder / UNFINISHED))

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> Path:
        # Keys are ours, and a URL's key is checked by its signature; this holds whatever else goes wrong.
        if _KEY.fullmatch(key) is None:
            raise ObjectMissing(key)
        return self._folder / key


class LocalWriter:
    """A file that is not there yet."""

    def __init__(self, file: BinaryIO, unfinished: Path, path: Path) -> None:
        self._file = file
        self._unfinished = unfinished
        self._path = path

    async def write(self, data: bytes) -> None:
        """Add bytes to it."""
        await _doing(lambda: self._file.write(data))

    async def commit(self) -> bool:
        """Have it all on disk, then under its name."""
        return await _doing(self._commit)

    def _commit(self) -> bool:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        try:
            self._path.hardlink_to(self._unfinished)
        except FileExistsError:
            return False
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True


async def _doing(work: Callable[[], Result]) -> Result:
    """Work on files in a thread.

    Raises:
        ObjectMissing: there is no such file.
        StoreUnavailable: the disk is full, or does not let us.
    """
    try:
        return await asyncio.to_thread(work)
    except FileNotFoundError as error:
        raise ObjectMissing(str(error)) from error
    except OSError as error:
        raise StoreUnavailable(f"the media folder cannot be used: {error.strerror}") from error


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE), "wb")


def _drop(file: BinaryIO, path: Path) -> None:
    with contextlib.suppress(OSError):
        file.close()
    path.unlink(missing_ok=True)


def _forget(folder: Path) -> int:
    if not folder.exists():
        return 0
    before = time.time() - UNFINISHED_LIFE_S
    left_behind = [path for path in folder.iterdir() if path.stat().st_mtime < before]
    for path in left_behind:
        path.unlink(missing_ok=True)
    return len(left_behind)


def _until(ttl_s: float) -> int:
    return int(time.time() + ttl_s)
