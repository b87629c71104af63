"""Signing a checkpoint when the log has grown, and publishing it."""

import enum
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from psycopg import AsyncConnection

from ledger.checkpoints import LogForked, SignedCheckpoint, append, check_extends, claimed_by, read_latest, read_sealed
from ledger.database import Database
from ledger.merkle import EMPTY_ROOT
from ledger.notes import NoteRejected, SigningKey
from workers.checkpoints.bucket_settings import BucketSettings
from workers.checkpoints.files import FilePlace
from workers.checkpoints.place import Place, PlaceUnreachable
from workers.signing import VARIABLE, signing_key

INTERVAL_S: Final = 10.0
"""How often a checkpoint is signed, at most. What is younger than the last is not yet tamper-evident to others."""

FOLDER: Final = "checkpoints"

_log: Final = structlog.stdlib.get_logger(__name__)


class Unreadable(enum.Enum):
    """What a place says that does not answer."""

    unreadable = enum.auto()


UNREADABLE: Final = Unreadable.unreadable


class Publisher:
    """Signs where the log is, after looking whether it still contains what was published before.

    A log that does not contain it was changed, or restored to before it. Then nothing is signed, on every run, until
    someone has looked: signing would vouch for it.
    """

    def __init__(self, key: SigningKey | None, places: Sequence[Place]) -> None:
        self._key = key
        self._places = places
        self._due_s: dict[str, float] = {}
        if key is None:
            _log.warning("checkpoints_not_signed", reason=f"{VARIABLE} is not set and there is no data directory")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Publisher":
        """Make the publisher of this installation.

        Raises:
            SettingsError: what the environment says makes no sense.
        """
        key = signing_key(environment)
        bucket = BucketSettings.from_environment(environment)
        places: list[Place] = []
        directory = environment.get("HOLDFAST_DATA_DIR", "").strip()
        if key is not None and directory:
            places.append(FilePlace(Path(directory) / FOLDER, key.verifier))
        if key is not None and bucket is not None:
            # Here, so that processes without a bucket do not wait for boto3 to load.
            from workers.checkpoints.bucket import BucketPlace  # noqa: PLC0415

            places.append(BucketPlace(bucket))
        return cls(key, places)

    async def publish(self, database: Database) -> int:
        """Sign a checkpoint if the log has grown, and publish it where that is due; return how many were published.

        A place that cannot be reached is tried again at the next run, and holds up no other.

        Raises:
            LogForked: the log does not contain what was signed or published before. Nothing is signed.
        """
        if self._key is None:
            return 0
        now_s = time.monotonic()
        due = [place for place in self._places if now_s >= self._due_s.get(place.name, 0.0)]
        published = [(place, await _latest(place)) for place in due]
        async with database.connection() as connection:
            for place, found in published:
                if isinstance(found, str):
                    await _check(connection, place, found)
            signed = await append(connection, self._key) or await read_latest(connection)
        if signed is None:
            return 0
        return sum(
            [await self._put(place, signed) for place, found in published if found not in {UNREADABLE, signed.note}]
        )

    async def run(self, database: Database) -> int:
        """Publish; where the log has forked, say so in the log of this process on every run."""
        try:
            return await self.publish(database)
        except LogForked as error:
            _log.error("log_forked", error=str(error), help="nothing is signed; see docs/audit.md")
            return 0

    async def _put(self, place: Place, signed: SignedCheckpoint) -> int:
        try:
            await place.put(signed)
        except PlaceUnreachable as error:
            _log.warning("checkpoint_not_published", place=place.name, error=str(error))
            return 0
        self._due_s[place.name] = time.monotonic() + place.interval_s
        return 1


async def _latest(place: Place) -> str | Unreadable | None:
    try:
        return await place.latest()
    except PlaceUnreachable as error:
        _log.warning("checkpoint_not_published", place=place.name, error=str(error))
        return UNREADABLE


async def _check(connection: AsyncConnection[Any], place: Place, note: str) -> None:
    sealed = await read_sealed(connection)
    size, root = sealed or (0, EMPTY_ROOT)
    try:
        await check_extends(connection, claimed_by(note), size=size, root=root)
    except (LogForked, NoteRejected) as error:
        raise LogForked(f"{place.name}: {error}") from error
