"""Somewhere to publish checkpoints."""

from typing import Protocol

from ledger.checkpoints import SignedCheckpoint


class PlaceUnreachable(Exception):
    """A place does not answer, or does not take what it is given; the next run tries again."""


class Place(Protocol):
    """Somewhere outside of the database. Only the one leader of the clock writes there."""

    @property
    def name(self) -> str:
        """What it is called in logs."""
        ...

    @property
    def interval_s(self) -> float:
        """How often, at most, something is published there."""
        ...

    async def latest(self) -> str | None:
        """Return the note of the largest log that was published here, if any.

        Raises:
            PlaceUnreachable: it cannot be read.
        """
        ...

    async def put(self, checkpoint: SignedCheckpoint) -> None:
        """Publish a checkpoint here. Doing it again changes nothing.

        Raises:
            PlaceUnreachable: it cannot be written.
        """
        ...
