"""The journal: entered again while accounts are replayed, and compared line by line and lot by lot."""

from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account
from ledger.audit.accounts import AccountRange
from ledger.audit.findings import Findings
from ledger.events import Body, Event
from projections.audit.kept import KeptRows, Row
from projections.journal import DAY_US, PostedEvent, Rules, enter, read_known, read_rules
from projections.journal_lots import JournalLot
from projections.journal_rules import WITHOUT_ENTRY, Lots
from projections.status import BuildStatus

sql: Final = statements.load("projections.audit")

CHECK: Final = "journal"


class JournalOnlooker:
    """Compares the build of the journal that is read with what its rules make of the events that it has taken."""

    def __init__(self, connection: AsyncConnection[Any], build: BuildStatus, rules: Rules) -> None:
        self.findings = Findings()
        self._connection = connection
        self._build = build
        self._rules = rules
        self._kept = KeptRows(connection, "journal lines", key_columns=2)
        self._kept_lots = KeptRows(connection, "journal lots", key_columns=1)
        self._waiting: list[PostedEvent] = []
        self._lots: Lots = {}
        self._given_up: UUID | None = None

    @classmethod
    async def of(
        cls, connection: AsyncConnection[Any], accounts: AccountRange, build: BuildStatus
    ) -> "JournalOnlooker":
        """Begin to look on at the replay of these accounts."""
        onlooker = cls(connection, build, await read_rules(connection))
        which = {"build": build.build, "first": accounts.first, "last": accounts.last}
        await onlooker._kept.open(sql.READ_LINES_BY_ACCOUNT, which)
        await onlooker._kept_lots.open(sql.READ_LOTS_BY_ACCOUNT, which)
        return onlooker

    def saw(self, event: Event, body: Body, seq: int | None, account: Account) -> None:
        """Keep what the journal has taken, until it is compared."""
        if seq is None or seq > self._build.seq or event.kind in WITHOUT_ENTRY:
            return
        recorded_day = event.recorded_at_us // DAY_US
        self._waiting.append(
            PostedEvent(event.account_id, event.version, event.kind, event.amount_microcredits, body, seq, recorded_day)
        )

    async def catch_up(self) -> None:
        """Enter what gathered, and compare its lines; all of it is of one account."""
        waiting, self._waiting = self._waiting, []
        if not waiting or self._given_up == waiting[0].account_id:
            return
        expected: list[Row] = []
        seq = waiting[0].seq
        try:
            known = await read_known(self._connection, self._rules, waiting)
            account = waiting[0].account_id.bytes
            for event in waiting:
                seq = event.seq
                booked_day, lines = enter(event, self._lots, known)
                for number, line in enumerate(lines, start=1):
                    expected.append((account, seq, number, event.version, booked_day, *line))
        except (ValueError, KeyError, AssertionError) as error:
            self._given_up = waiting[0].account_id
            self.findings.add(
                CHECK, f"the event cannot be entered ({error})", seq=seq, account_id=waiting[0].account_id
            )
            return
        for (account_id, line_seq, line), _, _ in await self._kept.differing(expected):
            problem = f"line {line} of its entry is not what the event makes"
            self.findings.add(CHECK, problem, seq=line_seq, account_id=account_id)

    async def closed(self, account_id: UUID, *, is_broken: bool) -> None:
        """Compare what is left of an account: its last lines, that there are no more, and its lots."""
        await self.catch_up()
        lots = [_row(self._lots[key]) for key in sorted(self._lots)]
        self._lots.clear()
        if is_broken or self._given_up == account_id:
            # Nobody knows what its lines should be; what is wrong was found already.
            await self._kept.rest(account_id)
            await self._kept_lots.rest(account_id)
            return
        await self._report_lines(account_id)
        differing = [difference.key for difference in await self._kept_lots.differing(lots)]
        for whose, number in [*differing, *await self._kept_lots.rest(account_id)]:
            problem = f"lot {number} of the journal is not what the events come to"
            self.findings.add(CHECK, problem, account_id=whose, version=number)

    async def finish(self) -> None:
        """Report lines and lots of accounts that have no events."""
        await self._report_lines(None)
        for account_id, number in await self._kept_lots.rest(None):
            self.findings.add(CHECK, f"lot {number} of the journal is of no event", account_id=account_id)
        await self._kept.close()
        await self._kept_lots.close()

    async def _report_lines(self, account_id: UUID | None) -> None:
        for whose, seq, line in await self._kept.rest(account_id):
            self.findings.add(CHECK, f"line {line} at seq {seq} is of no event", seq=seq, account_id=whose)


def _row(lot: JournalLot) -> Row:
    return (lot.account_id.bytes, *msgspec.structs.astuple(lot)[1:])
