"""Analytics: what administrators want to know of generations and customers, added up by day.

A generation enters with the event that settles it, which commits together with its last row; nobody has to read that
row again. What ends without an event of its own has a place in the sealed order all the same: see `unbilled`. Figures
only ever add, so batches can begin anywhere, and every count is of a day, an account, a model, a provider, an operation
and an outcome, from which any coarser one is a sum.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from ledger import statements
from ledger.arrays import Int8Array, UuidArray
from ledger.events import Kind
from projections.projection import Batch, Projection, UnknownKind

sql: Final = statements.load("projections")

BATCH_LIMIT: Final = 10_000
NAME: Final = "analytics"

TIME_BOUNDS_US: Final = (
    1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000, 300_000_000,
)  # fmt: skip
"""Of the histograms in the metrics, each included. Whoever changes them rebuilds: totals count by place among them."""

_KINDS: Final[dict[str, object]] = {
    "opened": int(Kind.account_opened),
    "bought": int(Kind.credits_topped_up),
    "granted": int(Kind.credits_granted),
    "frozen": int(Kind.credits_frozen),
    "confirmed": int(Kind.freeze_confirmed),
    "charged": int(Kind.credits_charged),
    "resolving": [int(Kind.freeze_confirmed), int(Kind.freeze_rolled_back)],
}


class EndedGeneration(NamedTuple):
    """A generation that ended, and the day, in days since 1970-01-01 UTC, that it counts for."""

    generation_id: UUID
    account_id: UUID
    day: int


class GenerationMissing(Exception):
    """The log settles generations that are not there, or have not ended."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} generations of this batch are not there, or have not ended")


async def apply(connection: AsyncConnection[Any], batch: Batch) -> None:
    """Count a batch of events.

    Raises:
        UnknownKind: an event is of a kind that this version does not know.
        GenerationMissing: an event settles a generation that is not there.
        psycopg.DataError: an event's body or key is not what it must be.
    """
    row = await (await batch.execute(connection, sql.ADD_EVENTS, _KINDS)).fetchone()
    assert row is not None, "it returns one row"
    unknown_kind, charges_of_nothing, *ended = row
    if unknown_kind is not None:
        raise UnknownKind(unknown_kind)
    if charges_of_nothing:
        raise GenerationMissing(charges_of_nothing)
    await add_ended(connection, batch.build, [EndedGeneration(*each) for each in zip(*ended, strict=True)])


async def add_ended(connection: AsyncConnection[Any], build: int, ended: Sequence[EndedGeneration]) -> None:
    """Count generations that ended, in one build.

    Raises:
        GenerationMissing: one is not there, or has not ended.
    """
    if not ended:
        return
    parameters = {
        "build": build,
        "generation_ids": UuidArray.of([generation.generation_id for generation in ended]),
        "account_ids": UuidArray.of([generation.account_id for generation in ended]),
        "bounds_us": list(TIME_BOUNDS_US),
        "days": Int8Array.of([generation.day for generation in ended]),
    }
    row = await (await connection.execute(sql.ADD_ENDED_GENERATIONS, parameters)).fetchone()
    assert row is not None, "count(*) has a row"
    if row[0] != len(ended):
        raise GenerationMissing(len(ended) - row[0])


ANALYTICS: Final = Projection(NAME, apply, BATCH_LIMIT)
