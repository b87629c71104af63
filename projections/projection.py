"""What a read model is, to those that run it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, LiteralString, TypeAlias

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from ledger import statements
from ledger.events import Kind
from ledger.tree import read_positions

sql: Final = statements.load("projections")

KNOWN_KINDS: Final = [int(kind) for kind in Kind]


class Batch(msgspec.Struct, frozen=True):
    """Events to take into a build: those after `after_seq`, up to and with `upto_seq`. There are no gaps in `seq`."""

    build: int
    after_seq: int
    upto_seq: int
    first_position: int | None
    last_position: int | None
    """Between these two are all of its events, and now and then one that is not; nothing where all were taken away."""

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
            "first_position": self.first_position,
            "last_position": self.last_position,
            "kinds": KNOWN_KINDS,
        }

    async def execute(
        self, connection: AsyncConnection[Any], statement: LiteralString, more: Mapping[str, object] | None = None
    ) -> AsyncCursor[Any]:
        """Run a statement about this batch.

        It is planned with the bounds of the batch each time: a plan for any bounds looks every event up by itself,
        which takes three times as long as reading them in a row.
        """
        return await connection.execute(statement, {**self.parameters(), **(more or {})}, prepare=False, binary=True)


async def read_batch(connection: AsyncConnection[Any], *, build: int, after_seq: int, upto_seq: int) -> Batch:
    """Return a batch, with where its events are."""
    return Batch(build, after_seq, upto_seq, *await read_positions(connection, (after_seq, upto_seq)))


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
    in_any_order: bool = False
    """Whether it depends on nothing it wrote before, so that a rebuild may take several batches at once."""


class UnknownKind(Exception):
    """The log has events of a kind that this version does not know; a newer one will."""

    def __init__(self, kinds: object) -> None:
        super().__init__(f"an event of unknown kind {kinds}: it needs a newer version")


class ProjectionNotFound(Exception):
    """There is no projection of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no projection is called {name!r}")
