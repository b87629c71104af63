"""The sealed order: the sealer's work done again from the events, beside what it left: tiles, roots, checkpoints."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.arrays import Int8Array
from ledger.audit.findings import Finding, Findings
from ledger.audit.order import Order
from ledger.merkle import HASH_BYTES, Range
from ledger.notes import NoteRejected, VerifierKey, open_note, text_of
from ledger.proofs import Checkpoint
from ledger.tiles import MAX_LEVELS, WIDTH_BITS, Edge, EdgeError, Tile
from ledger.tree import load_edge

sql: Final = statements.load("ledger.audit")

RANGE_LEAVES: Final = 262_144
"""Where a range begins, two levels of tiles end, so that there is little of an edge to take up."""


class Claim(msgspec.Struct, frozen=True):
    """What somebody says the root of the log is, or was, at a size."""

    size: int
    root: bytes
    kind: Literal["tick", "kept", "given"]
    """A tick, a checkpoint that the database keeps, or a checkpoint that someone kept elsewhere."""
    source: str


class CheckedLog(msgspec.Struct):
    """What a range of the sealed order came to."""

    leaves: int = 0
    tiles: int = 0
    ticks: int = 0
    checkpoints: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list[Finding])


async def check_log(
    connection: AsyncConnection[Any],
    leaves: Range,
    *,
    order: Order,
    claims: Sequence[Claim],
    trusted: Sequence[VerifierKey],
) -> CheckedLog:
    """Seal a range of leaves again, in memory, and compare; all accounts have put their hashes into the `order`.

    The range begins at a multiple of `RANGE_LEAVES`. What comes before it is taken from the roots of the tiles there,
    which whoever checks those ranges compares. `claims` are given from outside, beside those of ticks and of the table
    of checkpoints, whose signatures are checked if there are `trusted` keys. The connection must be in a transaction
    that sees one moment.
    """
    return await _Checking(connection, leaves, order, trusted).run(claims)


class _Checking:
    def __init__(
        self, connection: AsyncConnection[Any], leaves: Range, order: Order, trusted: Sequence[VerifierKey]
    ) -> None:
        self._connection = connection
        self._order = order
        self._first, self._beyond = leaves
        self._trusted = trusted
        self._findings = Findings()
        self._spans: list[Finding] = []
        """Findings about some event among several, which no event is named for."""
        self._result = CheckedLog(leaves=self._beyond - self._first)

    async def run(self, given: Sequence[Claim]) -> CheckedLog:
        claims = [*await self._read_claims(), *(claim for claim in given if self._first < claim.size <= self._beyond)]
        entries, gap = self._order.entries(self._first, self._beyond)
        if gap is not None:
            self._findings.add("order", "the event that was sealed here is gone", seq=gap)
        edge = await self._load_edge()
        if edge is not None:
            tiles = self._seal_again(edge, entries, sorted(claims, key=lambda claim: claim.size))
            await self._compare_tiles(tiles)
        self._result.findings = [*[await self._with_event(finding) for finding in self._findings.kept], *self._spans]
        return self._result

    async def _load_edge(self) -> Edge | None:
        try:
            return await load_edge(self._connection, self._first)
        except EdgeError as error:
            self._findings.add("tree", str(error), seq=self._first)
            return None

    async def _read_claims(self) -> list[Claim]:
        claims: list[Claim] = []
        bounds = {"first": self._first, "beyond": self._beyond}
        async for size, root, tick, note in await self._connection.execute(sql.READ_CLAIMS, bounds, binary=True):
            if note is None:
                self._result.ticks += 1
                claims.append(Claim(size, root, "tick", f"tick {tick}"))
                continue
            self._result.checkpoints += 1
            claims.append(Claim(size, root, "kept", "the checkpoint in the database"))
            self._check_note(size, root, note)
        return claims

    def _check_note(self, size: int, root: bytes, note: str) -> None:
        try:
            signed = Checkpoint.parse(open_note(note, self._trusted) if self._trusted else text_of(note))
        except NoteRejected as error:
            self._findings.add("signature", f"the checkpoint of {size} events: {error}", seq=size)
            return
        if (signed.size, signed.root) != (size, root):
            self._findings.add("signature", "the checkpoint says something else than its note", seq=size)

    def _seal_again(self, edge: Edge, entries: bytes, claims: Sequence[Claim]) -> list[Tile]:
        """Let the tree grow over the range, and look at its root wherever somebody says what it is."""
        tiles: list[Tile] = []
        held: dict[str, int] = {}
        failed: set[str] = set()
        for claim in claims:
            tiles += edge.extend(self._part(entries, edge.size, claim.size))
            if edge.root() == claim.root:
                held[claim.kind] = claim.size
            elif claim.kind == "given" or claim.kind not in failed:
                # Once one does not hold, no later one of its kind does.
                failed.add(claim.kind)
                self._spans.append(_not_held(claim, held.get(claim.kind, self._first)))
        return tiles + edge.extend(self._part(entries, edge.size, self._beyond))

    def _part(self, entries: bytes, first: int, beyond: int) -> bytes:
        return entries[(first - self._first) * HASH_BYTES : (beyond - self._first) * HASH_BYTES]

    async def _compare_tiles(self, expected: Sequence[Tile]) -> None:
        bounds = [
            (level, self._first >> bits, self._beyond >> bits)
            for level in range(MAX_LEVELS)
            if (bits := (level + 1) * WIDTH_BITS) < 63
        ]
        columns = {
            "levels": Int8Array.of([level for level, _, _ in bounds]),
            "firsts": Int8Array.of([first for _, first, _ in bounds]),
            "beyonds": Int8Array.of([beyond for _, _, beyond in bounds]),
        }
        cursor = await self._connection.execute(sql.READ_FULL_TILES, columns, binary=True)
        found = {row[:2]: Tile(*row) async for row in cursor}
        self._result.tiles += len(found)
        for tile in expected:
            kept = found.get((tile.level, tile.index))
            if kept != tile:
                self._report_tile(tile, kept)

    def _report_tile(self, expected: Tile, kept: Tile | None) -> None:
        name = f"tile {expected.index} of level {expected.level}"
        first_leaf = expected.index << (expected.level + 1) * WIDTH_BITS
        if kept is None:
            self._findings.add("tree", f"{name} is missing", seq=first_leaf + 1)
            return
        starts = range(0, len(expected.nodes), HASH_BYTES)
        wrong = next(
            (start for start in starts if expected.nodes[start:][:HASH_BYTES] != kept.nodes[start:][:HASH_BYTES]), None
        )
        if wrong is None:
            self._findings.add("tree", f"{name} does not have the root of its nodes", seq=first_leaf + 1)
            return
        seq = first_leaf + (wrong // HASH_BYTES << expected.level * WIDTH_BITS) + 1
        problem = (
            "the event is not the one that was sealed here"
            if expected.level == 0
            else f"{name} is not what is below it"
        )
        self._findings.add("tree", problem, seq=seq)

    async def _with_event(self, finding: Finding) -> Finding:
        if finding.account_id is not None or finding.seq is None:
            return finding
        row = await (await self._connection.execute(sql.READ_EVENT_AT, {"seq": finding.seq})).fetchone()
        return finding if row is None else msgspec.structs.replace(finding, account_id=row[0], version=row[1])


def _not_held(claim: Claim, held: int) -> Finding:
    """Say between which events the log is not what it was. Whoever rewrote ticks, too, is told by others alone."""
    if claim.kind == "tick":
        problem = f"of events {held + 1} to {claim.size} one is not what {claim.source} sealed"
        return Finding(check="tree", problem=problem, seq=claim.size)
    return Finding(check="checkpoint", problem=f"the first {claim.size} events are not those of {claim.source}")
