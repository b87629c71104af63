"""One order of all events, without gaps, assigned once they are committed, and provable.

Positions are taken before commit. A reader that remembers the last position it saw can see 8 while 7 is in flight,
remember 8, and skip 7 for ever. So order is assigned afterwards, by a single sealer that knows from one snapshot to the
next what has become visible (the technique of PgQ, https://github.com/pgq/pgq). Each run is a tick: the events it
sealed, the tiles of the tree they filled, and the tree's new root commit together.

Transaction ids mean something only in the cluster that gave them. After a logical restore the sealer notices, seals
what is left once by looking at every event, and goes on in a new epoch.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from ledger import statements
from ledger.tiles import Edge, EdgeError, Tile
from ledger.tree import load_edge, rebuild_edge, save_tiles

sql: Final = statements.load("ledger")

STEP: Final = 100_000
"""How many events, or positions, one statement takes."""

_log: Final = structlog.get_logger("ledger.sealer")


class TreeDamaged(Exception):
    """The tree does not lead to the root of its last tick; nothing is sealed on top of it until someone has looked."""


class _Tick(msgspec.Struct):
    """Where the sealed order ends, and the right edge of the tree there."""

    number: int
    size: int
    epoch: int
    snapshot: str
    edge: Edge
    is_ours: bool = True
    """Whether transaction ids in it mean something here, so that its snapshot tells what is new."""


class Sealer:
    """Seals on the connections it is given, and keeps the right edge of the tree from one tick to the next.

    Two sealers at once cannot both seal: the second finds the place taken, has written nothing, and looks again where
    the order ends. A sealer that is killed between any two statements has written nothing either.
    """

    def __init__(self) -> None:
        self._last: _Tick | None = None

    async def seal(self, connection: AsyncConnection[Any]) -> int:
        """Seal what became visible since the last tick and commit; return how many events that were.

        The connection must be outside of a transaction, and is so afterwards.

        Raises:
            TreeDamaged: what is kept of the tree is not what the last tick says; nothing was sealed.
        """
        # In doubt until committed: whatever goes wrong, the next run reads where the order ends.
        last, self._last = self._last, None
        try:
            async with connection.pipeline():
                await connection.execute(sql.BEGIN_SEALING)
                await connection.execute(sql.LIMIT_SEALING)
            last = last or await _load(connection)
            self._last = await _extend(connection, last)
        except psycopg.errors.UniqueViolation:
            await connection.rollback()
            return 0
        except BaseException:
            if not connection.closed:
                await connection.rollback()
            raise
        return 0 if self._last is None else self._last.size - last.size


async def seal(connection: AsyncConnection[Any]) -> int:
    """Seal once, knowing nothing from before; return how many events that were."""
    return await Sealer().seal(connection)


async def lag_s(connection: AsyncConnection[Any]) -> float:
    """Age, in seconds, of the oldest event that could be sealed and is not; zero when there is none."""
    row = await (await connection.execute(sql.READ_SEALER_LAG)).fetchone()
    return 0.0 if row is None or row[0] is None else max(0.0, row[0])


async def _load(connection: AsyncConnection[Any]) -> _Tick:
    number, size, epoch, root, snapshot, is_native = await _one(connection, sql.READ_LAST_TICK)
    if is_native is False:
        _log.warning("sealing_begins_new_epoch", epoch=epoch + 1, size=size)
        epoch += 1
    # A tick without a root is older than the tree.
    try:
        edge = await (load_edge if root is not None else rebuild_edge)(connection, size)
    except EdgeError as error:
        raise TreeDamaged(str(error)) from error
    if root is not None and edge.root() != root:
        raise TreeDamaged(f"the tree of {size} events does not have the root of tick {number}")
    return _Tick(number, size, epoch, snapshot, edge, is_ours=bool(is_native))


async def _extend(connection: AsyncConnection[Any], last: _Tick) -> _Tick | None:
    """Write the next tick and return it; the last one if there is nothing to seal, nothing if that was not the last."""
    edge, after, snapshot = last.edge, 0, ""
    tiles: list[Tile] = []
    more = not last.is_ours
    if last.is_ours:
        given = {"number": last.number, "size": last.size, "snapshot": last.snapshot, "limit": STEP}
        is_last, added, after, entries, snapshot = await _one(connection, sql.SEAL, given)
        if not is_last:
            await connection.rollback()
            return None
        tiles += edge.extend(entries)
        more = added == STEP
    while more:
        given = {"size": edge.size, "after": after, "upto": after + STEP}
        _, entries, after, snapshot = await _one(connection, sql.SEAL_LEFT_OVER, given)
        await save_tiles(connection, tiles)
        tiles = edge.extend(entries)
        more = after is not None
    if edge.size == last.size and (last.is_ours or last.number == 0):
        await connection.rollback()
        return last
    tick = _Tick(last.number + 1, edge.size, last.epoch, snapshot, edge)
    async with connection.pipeline():
        await save_tiles(connection, tiles)
        await connection.execute(sql.INSERT_TICK, _columns(tick))
        # As in `saving.save`: `connection.commit()` could wait for ever here.
        await connection.execute(sql.COMMIT, prepare=False)
    return tick


def _columns(tick: _Tick) -> dict[str, object]:
    return {
        "number": tick.number,
        "size": tick.size,
        "snapshot": tick.snapshot,
        "epoch": tick.epoch,
        "root": tick.edge.root(),
    }


async def _one(connection: AsyncConnection[Any], statement: Any, parameters: Mapping[str, object] | None = None) -> Any:
    cursor = await connection.execute(statement, parameters, binary=True)
    row = await cursor.fetchone()
    assert row is not None, "each of these statements returns one row"
    return row
