"""Keeping the leases of everything a process runs, with one statement, and learning from it what must stop."""

import asyncio
import contextlib
import time
from collections.abc import Generator
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection

from ledger import database
from ledger.arrays import UuidArray
from workers.claims import LEASE_MARGIN_S, LEASE_S, Claim
from workers.generations import sql

HEARTBEAT_S: Final = 1.5
HEARTBEAT_TIMEOUT_S: Final = 3.0
RETRY_S: Final = 0.3

StopReason: TypeAlias = Literal["cancelled", "lost", "draining"]

_log = structlog.stdlib.get_logger(__name__)


class Lease:
    """The right of one attempt to append and settle."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.ends_s = claim.lease_ends_s
        self.stop_reason: StopReason | None = None
        self.stopped = asyncio.Event()

    def may_append(self) -> bool:
        """Whether the lease certainly still holds, however long this process was paused."""
        return self.stop_reason != "lost" and time.monotonic() < self.ends_s

    def stop(self, reason: StopReason) -> None:
        """Ask whoever works under this lease to stop; only losing it outweighs an earlier reason."""
        if self.stop_reason is None or reason == "lost":
            self.stop_reason = reason
        self.stopped.set()


class LeaseKeeper:
    """Extends the leases of one process. An async context manager.

    A lease that ran out because Postgres was away is simply extended if nobody has taken over; only a generation that
    another attempt runs, or that has ended, is lost.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._leases: dict[UUID, Lease] = {}
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="lease keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._disconnect()

    def __len__(self) -> int:
        return len(self._leases)

    @contextlib.contextmanager
    def hold(self, claim: Claim) -> Generator[Lease]:
        """Keep the lease of a claim extended for as long as the work on it takes."""
        lease = self._leases[claim.generation_id] = Lease(claim)
        try:
            yield lease
        finally:
            # A later attempt of the same generation may run in this process by now.
            if self._leases.get(claim.generation_id) is lease:
                del self._leases[claim.generation_id]

    def cancel(self, generation_id: UUID) -> None:
        """Stop one generation, if it runs here, because its owner wants it."""
        lease = self._leases.get(generation_id)
        if lease is not None:
            lease.stop("cancelled")

    def stop_all(self, reason: StopReason) -> None:
        """Stop everything that runs here."""
        for lease in self._leases.values():
            lease.stop(reason)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_S):
                    await self._beat()
                pause_s = HEARTBEAT_S
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("lease_heartbeat_failed", error=repr(error), running=len(self._leases))
                await self._disconnect()
                pause_s = RETRY_S
            except Exception:  # noqa: BLE001 - all that runs here depends on this task: it outlives any one lease
                _log.exception("lease_heartbeat_broke", running=len(self._leases))
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def _beat(self) -> None:
        leases = dict(self._leases)
        if not leases:
            return
        if self._connection is None:
            self._connection = await database.connect(self._url, name="holdfast leases", autocommit=True)
        asked_s = time.monotonic()
        parameters = {
            "ids": UuidArray.of(list(leases)),
            "account_ids": UuidArray.of([lease.claim.account_id for lease in leases.values()]),
            "attempts": [lease.claim.attempt for lease in leases.values()],
            "lease": f"{LEASE_S} s",
        }
        rows = await (await self._connection.execute(sql.EXTEND_LEASES, parameters)).fetchall()
        for generation_id, cancel_requested in rows:
            lease = leases.pop(generation_id)
            lease.ends_s = asked_s + LEASE_S - LEASE_MARGIN_S
            if cancel_requested:
                lease.stop("cancelled")
        if leases:
            await self._find_lost(self._connection, leases)

    async def _find_lost(self, connection: AsyncConnection[Any], leases: dict[UUID, Lease]) -> None:
        """Stop those that are ours no more; the others were only locked by their own settlement, or have just ended."""
        cursor = await connection.execute(sql.READ_ATTEMPTS, {"ids": UuidArray.of(list(leases))})
        attempts: dict[UUID, int] = dict(await cursor.fetchall())
        for generation_id, lease in leases.items():
            if attempts.get(generation_id) != lease.claim.attempt and self._leases.get(generation_id) is lease:
                _log.warning("lease_lost", generation_id=str(generation_id), attempt=lease.claim.attempt)
                lease.stop("lost")

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()
