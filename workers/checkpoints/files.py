"""Checkpoints as files: the latest, the last of each day, and the key to check them with."""

import asyncio
import os
from pathlib import Path
from typing import Final

from ledger.checkpoints import SignedCheckpoint
from ledger.notes import VerifierKey
from workers.checkpoints.place import PlaceUnreachable

LATEST: Final = "latest"
KEY: Final = "verifier.key"
INTERVAL_S: Final = 0.0


class FilePlace:
    """The folder `checkpoints` of a data directory: `latest`, one file per day (UTC), and `verifier.key`."""

    def __init__(self, folder: Path, verifier: VerifierKey) -> None:
        self.name = str(folder)
        self.interval_s = INTERVAL_S
        self._folder = folder
        self._verifier = verifier

    async def latest(self) -> str | None:
        """Return the last note that was written."""
        try:
            return await asyncio.to_thread((self._folder / LATEST).read_text, encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PlaceUnreachable(str(error)) from error

    async def put(self, checkpoint: SignedCheckpoint) -> None:
        """Write the checkpoint as the last of its day, and then as the latest."""
        try:
            await asyncio.to_thread(self._write, checkpoint)
        except OSError as error:
            raise PlaceUnreachable(str(error)) from error

    def _write(self, checkpoint: SignedCheckpoint) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._replace(KEY, f"{self._verifier}\n")
        self._replace(f"{checkpoint.signed_at:%Y-%m-%d}", checkpoint.note)
        self._replace(LATEST, checkpoint.note)

    def _replace(self, name: str, text: str) -> None:
        unfinished = self._folder / f".{name}.{os.getpid()}"
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._folder / name)
