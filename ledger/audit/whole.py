"""The database as a whole: what its parts must add up to, and how it is cut into ranges that are checked apart."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.audit.accounts import AccountRange, CheckedAccounts
from ledger.audit.findings import Finding, Findings
from ledger.audit.log import RANGE_LEAVES, CheckedLog, Claim
from ledger.audit.totals import Totals
from ledger.merkle import Range
from ledger.tiles import MAX_LEVELS, WIDTH_BITS

sql: Final = statements.load("ledger.audit")

RANGE_EVENTS: Final = 125_000

_LOWEST: Final = UUID(int=0)
_HIGHEST: Final = UUID(int=2**128 - 1)


class Whole(msgspec.Struct, frozen=True):
    """What the database says of itself."""

    size: int
    root: bytes | None
    snapshot: str | None
    ticks_missing: int
    sealed: int
    freezes: int
    tiles: int


async def read_whole(connection: AsyncConnection[Any]) -> Whole:
    """Read what the database says of itself."""
    row = await (await connection.execute(sql.READ_WHOLE)).fetchone()
    assert row is not None, "there is a tick from the beginning"
    return Whole(*row)


async def account_ranges(connection: AsyncConnection[Any]) -> list[AccountRange]:
    """Cut all possible account ids into ranges of about `RANGE_EVENTS` events."""
    cursor = await connection.execute(sql.READ_BOUNDS, {"events": RANGE_EVENTS})
    lasts: list[UUID] = [row[0] async for row in cursor]
    firsts = [_LOWEST, *(UUID(int=last.int + 1) for last in lasts)]
    return [AccountRange(first, last) for first, last in zip(firsts, [*lasts, _HIGHEST], strict=True)]


def log_ranges(size: int) -> list[Range]:
    """Cut the sealed order into ranges."""
    return [(first, min(size, first + RANGE_LEAVES)) for first in range(0, size, RANGE_LEAVES)]


def add_up(
    whole: Whole, accounts: Sequence[CheckedAccounts], logs: Sequence[CheckedLog], claims: Sequence[Claim]
) -> tuple[Totals, list[Finding]]:
    """Put the parts together: everything was counted once, and everything that was credited is somewhere."""
    findings, totals = Findings(), Totals()
    for part in accounts:
        totals.add(part.totals)
    if not totals.conserve():
        findings.add("conservation", "credited is not available + frozen + spent + expired + reversed")
    if whole.ticks_missing or whole.sealed != whole.size:
        findings.add(
            "order", f"the last tick says {whole.size} events are sealed, {whole.sealed} are; or ticks are missing"
        )
    if (sealed := sum(part.sealed for part in accounts)) != whole.size:
        findings.add("order", f"{sealed} events have a place in the sealed order of {whole.size}")
    if (
        not any(part.broken for part in accounts)
        and (freezes := sum(part.freezes for part in accounts)) != whole.freezes
    ):
        findings.add("projection", f"there are {whole.freezes} freezes, and events of {freezes}")
    full = sum(whole.size >> (level + 1) * WIDTH_BITS for level in range(MAX_LEVELS))
    if whole.tiles > full:
        findings.add("tree", f"there are {whole.tiles} tiles where {full} can be full")
    for claim in claims:
        if claim.size > whole.size:
            problem = f"{claim.source} covers {claim.size} events and {whole.size} are sealed: restored to before it?"
            findings.add("checkpoint", problem)
    found = [*findings.kept, *(finding for part in [*accounts, *logs] for finding in part.findings)]
    return totals, sorted(found, key=lambda finding: finding.place)
