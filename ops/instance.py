"""A data directory and who is using it: one instance at a time, which others can find and talk to."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import final

import msgspec

from ops.errors import CannotReach

LOCK_POLL_S = 0.05


class Description(msgspec.Struct, frozen=True):
    """What a running instance tells other commands of the same user. It may hold passwords: the file is private."""

    pid: int
    url: str
    database_url: str
    database_owner_url: str
    redis_url: str


@final
class DataDirectory:
    """The directory an installation keeps its data, its lock and its secrets in."""

    def __init__(self, path: Path) -> None:
        self.path: Path = path.resolve()

    @contextlib.asynccontextmanager
    async def locked(self, *, wait_s: float) -> AsyncGenerator[None]:
        """Hold the directory for ourselves; the kernel lets go of it when we die, however we die.

        Raises:
            CannotReach: another process still holds it after `wait_s`, or we may not write there.
        """
        deadline = time.monotonic() + wait_s
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise CannotReach(f"cannot use the data directory {self.path}: {error.strerror}") from error
        with lock:
            while not _try_lock(lock.fileno(), fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise CannotReach(f"the data directory {self.path} is in use by another instance{self._holder()}")
                await asyncio.sleep(LOCK_POLL_S)
            yield

    def running(self) -> Description | None:
        """Return the instance that uses this directory now, if it has come up."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            with (self.path / "lock").open() as lock:
                if _try_lock(lock.fileno(), fcntl.LOCK_SH):
                    return None
            return msgspec.json.decode((self.path / "instance.json").read_bytes(), type=Description)
        return None

    def describe(self, description: Description) -> None:
        """Let other commands find this instance. The caller holds the lock."""
        self.write_private("instance.json", msgspec.json.encode(description))

    def undescribe(self) -> None:
        """Say that the instance is going away."""
        (self.path / "instance.json").unlink(missing_ok=True)

    def write_private(self, name: str, content: bytes) -> None:
        """Write a whole file that only its owner can read, or leave the old one."""
        unfinished = self.path / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)

    def _holder(self) -> str:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            holder = msgspec.json.decode((self.path / "instance.json").read_bytes(), type=Description)
            return f" (process {holder.pid}, {holder.url}): stop it, or choose another --data-dir"
        return ": stop it, or choose another --data-dir"


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
