"""Balances: the snapshots that fell due while accounts were replayed, compared with those that are kept."""

from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account
from ledger.arrays import POSTGRES_EPOCH_US
from ledger.audit.accounts import AccountRange
from ledger.audit.findings import Findings
from ledger.events import Body, Event
from ledger.lots import Lot
from projections.account_state import AccountState, decode_state, state_of
from projections.audit.kept import KeptRows, Row
from projections.balances import INTERVAL, next_due
from projections.status import BuildStatus

sql: Final = statements.load("projections.audit")

CHECK: Final = "balances"


class BalancesOnlooker:
    """Compares the snapshots of the build that is read with what the accounts came to."""

    def __init__(self, connection: AsyncConnection[Any], build: BuildStatus) -> None:
        self.findings = Findings()
        self._build = build
        self._kept = KeptRows(connection, "balance snapshots", key_columns=1, form=_kept)
        self._waiting: list[Row] = []
        self._account_id: UUID | None = None
        self._due_version = 0

    @classmethod
    async def of(
        cls, connection: AsyncConnection[Any], accounts: AccountRange, build: BuildStatus
    ) -> "BalancesOnlooker":
        """Begin to look on at the replay of these accounts."""
        onlooker = cls(connection, build)
        which = {"build": build.build, "first": accounts.first, "last": accounts.last}
        await onlooker._kept.open(sql.READ_SNAPSHOTS_BY_ACCOUNT, which)
        return onlooker

    def saw(self, event: Event, body: Body, seq: int | None, account: Account) -> None:
        """Make a snapshot where one fell due."""
        if event.version % INTERVAL or seq is None or seq > self._build.seq:
            return
        if self._account_id != event.account_id:
            self._account_id, self._due_version = event.account_id, 0
        if event.version < self._due_version:
            return
        state = msgspec.structs.replace(state_of(account), head=event.hash)
        self._due_version = next_due(event.version, state)
        self._waiting.append(
            (event.account_id.bytes, event.version, seq, self._due_version, event.recorded_at_us, _essence(state))
        )

    async def catch_up(self) -> None:
        """Compare the snapshots that gathered; all of them are of one account."""
        waiting, self._waiting = self._waiting, []
        for (account_id, version), _, _ in await self._kept.differing(waiting):
            problem = "the snapshot of the account after it is not what the events come to"
            self.findings.add(CHECK, problem, account_id=account_id, version=version)

    async def closed(self, account_id: UUID, *, is_broken: bool) -> None:
        """Compare what is left of an account, and that there are no more snapshots of it."""
        await self.catch_up()
        passed = await self._kept.rest(account_id)
        if not is_broken:
            self._report(passed)

    async def finish(self) -> None:
        """Report snapshots of accounts that have no events."""
        self._report(await self._kept.rest(None))
        await self._kept.close()

    def _report(self, keys: list[Row]) -> None:
        for account_id, version in keys:
            self.findings.add(CHECK, "a snapshot of no event", account_id=account_id, version=version)


def _kept(row: Row) -> Row:
    """Return a row as it is kept in the form in which it is compared."""
    account_id, version, seq, due_version, recorded_at, state = row
    try:
        essence = _essence(decode_state(state))
    except msgspec.DecodeError:
        essence = ()
    return (account_id, version, seq, due_version, recorded_at + POSTGRES_EPOCH_US, essence)


def _essence(state: AccountState) -> Row:
    """Return what a state says, whatever the order in which it says it.

    Of a lot that was used up and came back, a snapshot does not know what it had lost before: nobody asks for that.
    """
    lots = tuple(sorted(_lot(lot) for lot in state.lots))
    freezes = tuple(sorted((freeze.id, freeze.amount, freeze.draws, freeze.expires_at_us) for freeze in state.freezes))
    heads = (
        state.id, state.version, state.available, state.frozen, state.credited, state.spent, state.expired,
        state.reversed, state.head, state.updated_at_us,
    )  # fmt: skip
    return (heads, lots, freezes)


def _lot(lot: Lot) -> Row:
    return (
        lot.number, lot.id, lot.origin, lot.source, lot.priority, lot.expires_at_us, lot.amount, lot.remaining,
        lot.frozen,
    )  # fmt: skip
