"""The balance channel: the latest balance of an account to everyone who watches it, and never an older one again.

A change is announced over Redis right after its commit, which is a hint and may be lost; Postgres is asked again every
second for all watched accounts in one query, and is the only source of what is sent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias
from uuid import UUID

import structlog
from msgspec import Struct

from ledger.amounts import format_credits
from workers.streams.announcements import hear_changed
from workers.streams.background import start_all, stop_all
from workers.streams.connections import MAX_AGE_S, TICK_S, Connection, Connections
from workers.streams.wire import COMMENT, OPENING, ascii_json, reconnect_frame

POLL_S: Final = 1.0
MIN_GAP_S: Final = 0.02
MAX_ASK_BATCH: Final = 1_000

_log = structlog.stdlib.get_logger(__name__)


class Balance(Struct, frozen=True):
    """An account's balance as of a ledger version."""

    version: int
    available_microcredits: int
    frozen_microcredits: int


BalancesOf: TypeAlias = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Balance]]]
"""The balances of these accounts in Postgres; unknown ids are left out."""


def balance_frame(balance: Balance) -> bytes:
    """The full state as one SSE event whose id is the ledger version."""
    data = ascii_json(
        {
            "available": format_credits(balance.available_microcredits),
            "frozen": format_credits(balance.frozen_microcredits),
            "version": balance.version,
        }
    )
    return f"id: {balance.version}\nevent: balance\ndata: {data}\n\n".encode("ascii")


class _Watch:
    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        self.version = -1
        self.frame = b""


class BalanceHub:
    """All the balance channels one process serves. An async context manager."""

    def __init__(self, redis_url: str, balances_of: BalancesOf, *, max_age_s: float = MAX_AGE_S) -> None:
        self._redis_url = redis_url
        self._balances_of = balances_of
        self._connections = Connections(max_age_s=max_age_s)
        self._watches: dict[UUID, _Watch] = {}
        self._changed: dict[UUID, None] = {}
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = start_all(self._hear, self._ask_forever, self._housekeep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_all(self._tasks)

    @property
    def reader_count(self) -> int:
        """How many readers are connected."""
        return len(self._connections)

    async def subscribe(self, account_id: UUID) -> AsyncGenerator[bytes, None]:
        """The SSE frames of one account: its balance now, then the latest after each change, up to `reconnect`."""
        yield OPENING
        sent_version = -1
        with self._connections.open() as connection, self._watch(account_id, connection) as watch:
            while connection.closing is None:
                if connection.take_comment():
                    yield COMMENT
                if watch.version > sent_version:
                    sent_version = watch.version
                    yield watch.frame
                else:
                    await connection.wait()
            yield reconnect_frame(connection.closing)

    async def drain(self, timeout_s: float = 3.0) -> bool:
        """Send every reader `reconnect`; false if some did not take it in time."""
        return await self._connections.drain(timeout_s)

    @contextlib.contextmanager
    def _watch(self, account_id: UUID, connection: Connection) -> Generator[_Watch]:
        watch = self._watches.setdefault(account_id, _Watch())
        watch.connections[connection] = None
        # What is known may be as old as the last poll, and a new reader is promised the current state first.
        self._note([account_id])
        try:
            yield watch
        finally:
            del watch.connections[connection]
            if not watch.connections:
                del self._watches[account_id]

    def _note(self, account_ids: Iterable[UUID]) -> None:
        for account_id in account_ids:
            if account_id in self._watches:
                self._changed[account_id] = None
                self._change.set()

    async def _hear(self) -> None:
        await hear_changed(self._redis_url, self._note)

    async def _housekeep(self) -> None:
        polled_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            self._connections.tick()
            if time.monotonic() - polled_s >= POLL_S:
                polled_s = time.monotonic()
                self._note(self._watches)

    async def _ask_forever(self) -> None:
        while True:
            await self._change.wait()
            batch = list(self._changed)[:MAX_ASK_BATCH]
            for account_id in batch:
                del self._changed[account_id]
            if not self._changed:
                self._change.clear()
            try:
                self._take(await self._balances_of(batch))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with Postgres, readers go on waiting
                _log.warning("balances_unavailable", error=repr(error), accounts=len(batch))
            # Between two questions changes gather, so that a busy account costs a bounded number of them.
            await asyncio.sleep(MIN_GAP_S)

    def _take(self, balances: Mapping[UUID, Balance]) -> None:
        for account_id, balance in balances.items():
            watch = self._watches.get(account_id)
            if watch is not None and balance.version > watch.version:
                watch.version = balance.version
                watch.frame = balance_frame(balance)
                for connection in watch.connections:
                    connection.wake()
