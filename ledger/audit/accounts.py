"""Account by account: the hash chain, the replay, and everything kept beside the events against what they come to."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account, Decision, OpenFreeze, evolve
from ledger.arrays import ByteaArray, Int8Array, TextArray, TimestampArray, UuidArray
from ledger.audit.findings import Finding, Findings
from ledger.audit.onlookers import Onlooker
from ledger.audit.order import Order
from ledger.audit.totals import Totals
from ledger.events import GENESIS_HASH, AccountOpened, Event, Kind, chain_hash
from ledger.lots import Lot
from ledger.rows import decode_portions, encode_portions, event_of_raw_row, from_us, read_raw

sql: Final = statements.load("ledger.audit")

FETCH: Final = 2_000
FREEZES_AT_ONCE: Final = 2_000
"""Resolved freezes are compared and forgotten so many at a time: an account may have had any number of them."""


class AccountRange(msgspec.Struct, frozen=True):
    """Accounts by their ids, both ends included."""

    first: UUID
    last: UUID


class CheckedAccounts(msgspec.Struct):
    """What a range of accounts came to."""

    events: int = 0
    sealed: int = 0
    freezes: int = 0
    broken: int = 0
    """Accounts whose events do not follow from each other, so that nothing of theirs was compared or counted."""
    totals: Totals = msgspec.field(default_factory=Totals)
    findings: list[Finding] = msgspec.field(default_factory=list[Finding])


async def check_accounts(
    connection: AsyncConnection[Any],
    accounts: AccountRange,
    *,
    order: Order,
    snapshot: str | None,
    onlookers: Sequence[Onlooker] = (),
) -> CheckedAccounts:
    """Check the accounts of a range: nothing of more than one of them is kept in memory, but for their heads and lots.

    Hashes are put into the `order`. `snapshot` is what the last tick saw, to find events that should be sealed and are
    not. The connection must be in a transaction that sees one moment. What `onlookers` find is among the findings.
    """
    return await _Checking(connection, accounts, order, snapshot, onlookers).run()


class _Checking:
    def __init__(
        self,
        connection: AsyncConnection[Any],
        accounts: AccountRange,
        order: Order,
        snapshot: str | None,
        onlookers: Sequence[Onlooker],
    ) -> None:
        self._connection = connection
        self._order = order
        self._onlookers = onlookers
        self._range = {"first": accounts.first, "last": accounts.last}
        self._snapshot = snapshot
        self._findings = Findings()
        self._result = CheckedAccounts()
        self._resolved: list[tuple[UUID, OpenFreeze]] = []

    async def run(self) -> CheckedAccounts:
        self._heads = {row[0]: row[1:] for row in await self._all_rows(sql.READ_ACCOUNT_ROWS)}
        self._lots = _grouped(await self._all_rows(sql.READ_LOT_ROWS))
        self._reversals = _grouped(await self._all_rows(sql.READ_REVERSAL_ROWS))
        current: _Chain | None = None
        current_id = b""
        async for rows in self._rows(sql.READ_ACCOUNT_EVENTS, raw=True):
            seqs = await self._put_in_order(rows)
            for row, seq in zip(rows, seqs, strict=True):
                if current is None or row[0] != current_id:
                    await self._close(current)
                    current_id = row[0]
                    current = _Chain(UUID(bytes=current_id), self._findings, self._onlookers)
                current.take(row, seq or None)
            self._result.events += len(rows)
            self._result.sealed += len(seqs) - seqs.count(0)
            if current is not None and len(current.resolved) + len(self._resolved) >= FREEZES_AT_ONCE:
                self._collect(current)
                await self._compare_freezes()
            for onlooker in self._onlookers:
                await onlooker.catch_up()
        await self._close(current)
        await self._compare_freezes()
        for account_id in [*self._heads, *(set(self._lots) | set(self._reversals)) - set(self._heads)]:
            self._findings.add("projection", "rows of an account that has no events", account_id=account_id)
        self._result.findings = self._findings.kept
        for onlooker in self._onlookers:
            await onlooker.finish()
            self._result.findings += onlooker.findings.kept
        return self._result

    async def _put_in_order(self, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        """Put the hashes of these events at their places, and return the places; 0 for what is not sealed."""
        seqs = self._order.places([row[11] for row in rows])
        if 0 in seqs:
            await self._find_missed([row for row, seq in zip(rows, seqs, strict=True) if not seq])
        twice = set(self._order.put([(seq, row[10]) for row, seq in zip(rows, seqs, strict=True) if seq]))
        for row, seq in zip(rows, seqs, strict=True) if twice else ():
            if seq in twice:
                problem = "another event has the same place in the sealed order"
                self._findings.add("order", problem, seq=seq, account_id=UUID(bytes=row[0]), version=row[1])
        return seqs

    async def _find_missed(self, unsealed: Sequence[tuple[Any, ...]]) -> None:
        given = {
            "account_ids": UuidArray.of([UUID(bytes=row[0]) for row in unsealed]),
            "versions": Int8Array.of([row[1] for row in unsealed]),
            "snapshot": self._snapshot,
        }
        async for account_id, version in await self._connection.execute(sql.FIND_MISSED_EVENTS, given, binary=True):
            problem = "the event was there at the last tick and is not in the sealed order"
            self._findings.add("order", problem, account_id=account_id, version=version)

    async def _rows(self, statement: Any, *, raw: bool = False) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Read some rows at a time through a cursor of the server's, so that memory stays bounded."""
        async with self._connection.cursor(name="audit", binary=True) as cursor:
            if raw:
                read_raw(cursor)
            await cursor.execute(statement, self._range)
            while rows := await cursor.fetchmany(FETCH):
                yield rows

    async def _all_rows(self, statement: Any) -> list[tuple[Any, ...]]:
        return [row async for rows in self._rows(statement) for row in rows]

    def _collect(self, chain: "_Chain") -> None:
        self._resolved += [(chain.account.id, freeze) for freeze in chain.resolved]
        chain.resolved.clear()
        chain.account.changed_freezes.clear()

    async def _close(self, chain: "_Chain | None") -> None:
        """Compare what is kept of an account with what its events came to."""
        if chain is None:
            return
        account = chain.account
        for onlooker in self._onlookers:
            await onlooker.closed(account.id, is_broken=chain.is_broken)
        head = self._heads.pop(account.id, None)
        lots = self._lots.pop(account.id, {})
        reversals = self._reversals.pop(account.id, {})
        if head is None:
            self._findings.add("projection", "the account's row is missing", account_id=account.id)
        elif head[0] != chain.version or head[7] != chain.head:
            problem = f"the account's row is at version {head[0]} and its last event has version {chain.version}"
            same_version = "the hash in the account's row is not that of its last event"
            self._findings.add(
                "chain",
                problem if head[0] != chain.version else same_version,
                account_id=account.id,
                version=min(head[0], chain.version) + (head[0] != chain.version),
            )
        if chain.is_broken:
            self._result.broken += 1
            return
        self._result.totals.add(account)
        if head is not None:
            self._compare_head(chain, head)
        self._compare("lots", account.id, {lot.number: _lot_row(lot) for lot in account.lots.values()}, lots)
        expected = {
            reversal.version: (
                reversal.lot_number, reversal.amount, reversal.draws, reversal.already_expired, reversal.debt,
                reversal.reinstated,
            )
            for reversal in account.reversals.values()
        }  # fmt: skip
        self._compare("reversals", account.id, expected, reversals)
        self._result.freezes += chain.freezes
        self._collect(chain)
        self._resolved += [(account.id, freeze) for freeze in account.freezes.values()]

    def _compare_head(self, chain: "_Chain", head: tuple[Any, ...]) -> None:
        account = chain.account
        expected = {
            "available": account.available, "frozen": account.frozen, "credited": account.credited,
            "spent": account.spent, "expired": account.expired, "reversed": account.reversed,
        }  # fmt: skip
        for (name, value), found in zip(expected.items(), head[1:7], strict=True):
            if value != found:
                problem = f"the account's row says {name} {found}, its events come to {value}"
                self._findings.add("projection", problem, account_id=account.id)
        if head[8:10] != (chain.owner, chain.name):
            self._findings.add(
                "projection", "the account's owner or name is not that of its opening", account_id=account.id
            )

    def _compare(self, what: str, account_id: UUID, expected: dict[int, Any], found: dict[int, Any]) -> None:
        for number in sorted(expected.keys() | found.keys()):
            if expected.get(number) != found.get(number):
                problem = f"row {number} of {what} is not what the events come to"
                self._findings.add("projection", problem, account_id=account_id)

    async def _compare_freezes(self) -> None:
        waiting, self._resolved = self._resolved, []
        for start in range(0, len(waiting), FREEZES_AT_ONCE):
            columns = _freeze_columns(waiting[start : start + FREEZES_AT_ONCE])
            cursor = await self._connection.execute(sql.FIND_WRONG_FREEZES, columns, binary=True)
            async for account_id, freeze_id in cursor:
                problem = f"freeze {freeze_id} is not what the events come to"
                self._findings.add("projection", problem, account_id=account_id)


class _Chain:
    """The events of one account, one after the other."""

    def __init__(self, account_id: UUID, findings: Findings, onlookers: Sequence[Onlooker]) -> None:
        self.account = Account(account_id)
        self.version = 0
        self.head = GENESIS_HASH
        self.owner = self.name = ""
        self.is_broken = False
        """The events no longer follow from each other, so there is nothing to compare anything with."""
        self.resolved: list[OpenFreeze] = []
        self.freezes = 0
        self._findings = findings
        self._onlookers = onlookers
        self._last_seq = 0
        self._last_us = 0

    def take(self, row: Sequence[Any], seq: int | None) -> None:
        """Check one event against those before it."""
        try:
            event = event_of_raw_row(self.account.id, row)
        except ValueError:
            self.version, self.head = row[1], row[10]
            self._break(f"there is no kind of event {row[2]}", seq, row[1])
            return
        if event.version != self.version + 1:
            self._break(f"version {self.version + 1} is missing", seq, self.version + 1)
        elif _hash_after(self.head, event) != event.hash:
            self._find(
                "chain", "the event does not have the hash of its content and its predecessor", seq, event.version
            )
        if seq is not None:
            if seq <= self._last_seq:
                self._find("order", "the event is sealed before its predecessor", seq, event.version)
            self._last_seq = seq
        if event.recorded_at_us < self._last_us:
            self._find("chain", "the event is recorded before its predecessor", seq, event.version)
        else:
            self._last_us = event.recorded_at_us
        self.version, self.head = event.version, event.hash
        if not self.is_broken:
            self._fold(event, seq)

    def _fold(self, event: Event, seq: int | None) -> None:
        account = self.account
        try:
            body = event.decoded_body()
            evolve(account, Decision(event.kind, event.amount_microcredits, body), recorded_at_us=event.recorded_at_us)
        except (AssertionError, KeyError, msgspec.DecodeError) as error:
            self._break(f"the event does not follow from those before it ({error})", seq, event.version)
            return
        if event.version == 1 and isinstance(body, AccountOpened):
            self.owner, self.name = body.owner, body.name
        available, frozen = event.available_after_microcredits, event.frozen_after_microcredits
        if available != account.available or frozen != account.frozen:
            problem = f"the event says available {available} and frozen {frozen} after it, the replay comes to"
            self._find("replay", f"{problem} {account.available} and {account.frozen}", seq, event.version)
        for onlooker in self._onlookers:
            onlooker.saw(event, body, seq, account)
        if event.kind is Kind.credits_frozen:
            self.freezes += 1
            account.changed_freezes.clear()
        elif account.changed_freezes:
            # One that is over is compared, and not needed again.
            self.resolved.append(account.freezes.pop(account.changed_freezes.pop()))

    def _find(self, check: str, problem: str, seq: int | None, version: int) -> None:
        self._findings.add(check, problem, seq=seq, account_id=self.account.id, version=version)

    def _break(self, problem: str, seq: int | None, version: int) -> None:
        self._find("chain", problem, seq, version)
        self.is_broken = True


def _hash_after(previous_hash: bytes, event: Event) -> bytes:
    return chain_hash(
        previous_hash,
        account_id=event.account_id,
        version=event.version,
        kind=event.kind,
        amount_microcredits=event.amount_microcredits,
        available_after_microcredits=event.available_after_microcredits,
        frozen_after_microcredits=event.frozen_after_microcredits,
        recorded_at_us=event.recorded_at_us,
        command_key=event.command_key,
        request_digest=event.request_digest,
        body=event.body,
    )


def _grouped(rows: list[tuple[Any, ...]]) -> dict[UUID, dict[int, tuple[Any, ...]]]:
    groups: dict[UUID, dict[int, tuple[Any, ...]]] = {}
    for account_id, number, *rest in rows:
        groups.setdefault(account_id, {})[number] = tuple(
            decode_portions(value) if isinstance(value, bytes) else value for value in rest
        )
    return groups


def _lot_row(lot: Lot) -> tuple[Any, ...]:
    return (
        lot.id, lot.origin, lot.source, lot.priority, _time(lot.expires_at_us), lot.amount, lot.remaining, lot.frozen,
        lot.expired, lot.reversed, lot.paid_amount, lot.paid_currency,
    )  # fmt: skip


def _time(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)


def _freeze_columns(freezes: Sequence[tuple[UUID, OpenFreeze]]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([account_id for account_id, _ in freezes]),
        "ids": UuidArray.of([freeze.id for _, freeze in freezes]),
        "amounts": Int8Array.of([freeze.amount for _, freeze in freezes]),
        "draws": ByteaArray.of([encode_portions(freeze.draws) for _, freeze in freezes]),
        "expires_ats": TimestampArray.of([freeze.expires_at_us for _, freeze in freezes]),
        "references": TextArray.of([freeze.reference for _, freeze in freezes]),
        "states": Int8Array.of([freeze.state for _, freeze in freezes]),
        "confirmeds": Int8Array.of([freeze.confirmed for _, freeze in freezes]),
        "opened_ats": TimestampArray.of([freeze.opened_at_us for _, freeze in freezes]),
        "resolved_ats": TimestampArray.of([freeze.resolved_at_us for _, freeze in freezes]),
    }
