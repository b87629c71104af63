"""Statements: the lines of accounts while they are replayed, compared block by block with those that are kept."""

import itertools
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account
from ledger.audit.accounts import AccountRange
from ledger.audit.findings import Findings
from ledger.events import Body, Event
from projections.audit.kept import Difference, KeptRows, Row
from projections.statements import BLOCK_LINES, first_version_of_block
from projections.status import BuildStatus

sql: Final = statements.load("projections.audit")

CHECK: Final = "statements"


class _Block(msgspec.Struct):
    """What a row must be."""

    account_id: bytes
    first_version: int
    seqs: list[int] = msgspec.field(default_factory=list[int])
    available_changes: list[int] = msgspec.field(default_factory=list[int])
    frozen_changes: list[int] = msgspec.field(default_factory=list[int])


class StatementsOnlooker:
    """Compares the lines of the build that is read with what the events come to."""

    def __init__(self, connection: AsyncConnection[Any], build: BuildStatus) -> None:
        self.findings = Findings()
        self._build = build
        self._kept = KeptRows(connection, "statement blocks", key_columns=1)
        self._waiting: list[Row] = []
        self._block: _Block | None = None
        self._available = 0
        self._frozen = 0

    @classmethod
    async def of(
        cls, connection: AsyncConnection[Any], accounts: AccountRange, build: BuildStatus
    ) -> "StatementsOnlooker":
        """Begin to look on at the replay of these accounts."""
        onlooker = cls(connection, build)
        which = {"build": build.build, "first": accounts.first, "last": accounts.last}
        await onlooker._kept.open(sql.READ_BLOCKS_BY_ACCOUNT, which)
        return onlooker

    def saw(self, event: Event, body: Body, seq: int | None, account: Account) -> None:
        """Add a line to the block that the event is in."""
        available, frozen = event.available_after_microcredits, event.frozen_after_microcredits
        available_change, frozen_change = available - self._available, frozen - self._frozen
        self._available, self._frozen = available, frozen
        if seq is None or seq > self._build.seq:
            return
        block = self._block
        if block is None or event.version >= block.first_version + BLOCK_LINES:
            self._end_block()
            block = self._block = _Block(event.account_id.bytes, first_version_of_block(event.version))
        block.seqs.append(seq)
        block.available_changes.append(available_change)
        block.frozen_changes.append(frozen_change)

    async def catch_up(self) -> None:
        """Compare the blocks that are whole; all of them are of one account."""
        waiting, self._waiting = self._waiting, []
        for difference in await self._kept.differing(waiting):
            self._report_first_line(difference)

    async def closed(self, account_id: UUID, *, is_broken: bool) -> None:
        """Compare what is left of an account, and that there are no more lines of it."""
        self._available = self._frozen = 0
        if is_broken:
            # Nobody knows what its lines should be; what is wrong was found already.
            self._block = None
            self._waiting.clear()
            await self._kept.rest(account_id)
            return
        self._end_block()
        await self.catch_up()
        self._report(await self._kept.rest(account_id))

    async def finish(self) -> None:
        """Report lines of accounts that have no events."""
        self._report(await self._kept.rest(None))
        await self._kept.close()

    def _end_block(self) -> None:
        if self._block is not None:
            self._waiting.append(msgspec.structs.astuple(self._block))
            self._block = None

    def _report_first_line(self, difference: Difference) -> None:
        if difference.expected is None:
            self._report([difference.key])
            return
        account_id, first_version = difference.key
        expected = _lines(difference.expected)
        kept = [] if difference.kept is None else _lines(difference.kept)
        place = next((place for place, line in enumerate(expected) if kept[place : place + 1] != [line]), len(expected))
        self.findings.add(
            CHECK,
            "a line of the statement is of no event"
            if place == len(expected)
            else "the line of the statement is not what the event makes",
            seq=None if place == len(expected) else expected[place][0],
            account_id=account_id,
            version=first_version + place,
        )

    def _report(self, keys: list[Row]) -> None:
        for account_id, version in keys:
            problem = "a line of the statement is of no event"
            self.findings.add(CHECK, problem, account_id=account_id, version=version)


def _lines(block: Row) -> list[Row]:
    """Return the lines of a block: `seq`, and what was added to the available and to the frozen credits."""
    seqs, available_changes, frozen_changes = block[2:]
    return list(itertools.zip_longest(seqs, available_changes, frozen_changes))
