"""What a read model is, to those that run it."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.events import Kind

sql: Final = statements.load("projections")

KNOWN_KINDS: Final = [int(kind) for kind in Kind]


class Batch(msgspec.Struct, frozen=True):
    """Events to take into a build: those after `after_seq`, up to and with `upto_seq`. There are no gaps in `seq`."""

    build: int
    after_seq: int
    upto_seq: int

    @property
    def size(self) -> int:
        """How many events these are."""
        return self.upto_seq - self.after_seq

    def parameters(self) -> dict[str, object]:
        """Return what every statement about a batch takes."""
        return {
            "build": self.build,
            "after_seq": self.after_seq,
            "upto_seq": self.upto_seq,
            "kinds": KNOWN_KINDS,
        }


Apply: TypeAlias = Callable[[AsyncConnection[Any], Batch], Awaitable[None]]


class Projection(msgspec.Struct, frozen=True):
    """A read model: its name, how it takes a batch of events in, and how many it takes in one transaction at most.

    `apply` writes to the tables of the build and nothing else. It depends on the events and on what it wrote before,
    never on where batches begin, so that two builds at the same `seq` are equal. It raises on what it does not
    understand.
    """

    name: str
    apply: Apply
    batch_limit: int


class UnknownKind(Exception):
    """The log has events of a kind that this version does not know; a newer one will."""

    def __init__(self, kinds: object) -> None:
        super().__init__(f"an event of unknown kind {kinds}: it needs a newer version")


class ProjectionNotFound(Exception):
    """There is no projection of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no projection is called {name!r}")
