"""The one way to write to the ledger: commands queue while a transaction commits, and the next takes all that wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeAlias
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection

from ledger import database, errors
from ledger.batch import GuardOutdated, Outcome, Rider, Unit, decide_batch
from ledger.commands import Command, Freeze
from ledger.loading import load
from ledger.saving import save

BATCH_LIMIT: Final = 512
QUEUE_LIMIT: Final = 20_000
LANES: Final = 3
RECONNECT_LIMIT: Final = 6
RECONNECT_PAUSE_S: Final = 0.1
"""Doubles with each attempt: together about three seconds, and the time-outs of connecting, before callers are told
`Contended`."""

_UNSTORABLE: Final = frozenset({None, "22021", "22P05"})
"""Not in the character set, or not translatable to it; without a state, psycopg noticed it before Postgres."""

_log: Final = structlog.get_logger("ledger.writer")

_Answer: TypeAlias = tuple[Outcome, ...]


def _now_us() -> int:
    return time.time_ns() // 1_000


class LedgerWriter:
    """Writes commands to the ledger in batches; one per process.

    Accounts are shared out over a few lanes, each with a connection and a queue of its own: one lane decides in Python
    while Postgres commits another's batch, and two lanes never wait for the same account. A batch of one is the same
    code as a batch of `BATCH_LIMIT`.

    `on_commit` is called with the ids of the accounts that changed, after each commit; it must not block.
    """

    def __init__(
        self,
        url: str,
        *,
        lanes: int = LANES,
        batch_limit: int = BATCH_LIMIT,
        clock_us: Callable[[], int] = _now_us,
        on_commit: Callable[[Sequence[UUID]], None] | None = None,
    ) -> None:
        self._lanes = [_Lane(url, batch_limit, clock_us, on_commit) for _ in range(lanes)]

    async def __aenter__(self) -> Self:
        for lane in self._lanes:
            lane.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit what is queued, and close."""
        for lane in self._lanes:
            await lane.stop()

    async def submit(self, command: Command, *, riders: Sequence[Rider] = ()) -> Outcome:
        """Write one command and wait until it is durable.

        A second call with the same key and request returns the original outcome and writes nothing.

        Raises:
            Refused: the rules forbid it; nothing was written.
            Contended: the database could not take it now; it may be sent again, under the same key.
        """
        (outcome,) = await self.submit_unit((command,), riders=riders)
        return outcome

    async def submit_unit(self, commands: Sequence[Command], *, riders: Sequence[Rider] = ()) -> tuple[Outcome, ...]:
        """Write several commands on one account, all or nothing, and wait until they are durable.

        Raises:
            Refused: the rules forbid one of them; none was written.
            Contended: the database could not take them now; they may be sent again, under the same keys.
        """
        account_id = commands[0].account_id
        assert all(command.account_id == account_id for command in commands), "a unit is about one account"
        lane = self._lanes[hash(account_id) % len(self._lanes)]
        return await lane.submit(Unit(account_id, commands, riders))


class _Lane:
    def __init__(
        self,
        url: str,
        batch_limit: int,
        clock_us: Callable[[], int],
        on_commit: Callable[[Sequence[UUID]], None] | None,
    ) -> None:
        self._url = url
        self._batch_limit = batch_limit
        self._clock_us = clock_us
        self._on_commit = on_commit
        self._waiting: deque[tuple[Unit, asyncio.Future[_Answer]]] = deque()
        self._wake = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger writer")

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._disconnect()

    def submit(self, unit: Unit) -> "asyncio.Future[_Answer]":
        if self._stopping or self._task is None:
            raise errors.Contended("the ledger writer is not running")
        if len(self._waiting) >= QUEUE_LIMIT:
            raise errors.Contended("too many commands are waiting")
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._waiting:
                if self._stopping:
                    return
                self._wake.clear()
                continue
            await self._settle(self._take_batch())
            # Whoever was just answered may have a next command. It joins this lane's next batch, not the one after.
            await asyncio.sleep(0)

    def _take_batch(self) -> list[tuple[Unit, "asyncio.Future[_Answer]"]]:
        """Take what waits, up to the limit of commands; one unit at least, however many it has."""
        batch = [self._waiting.popleft()]
        commands = len(batch[0][0].commands)
        while self._waiting and (commands := commands + len(self._waiting[0][0].commands)) <= self._batch_limit:
            batch.append(self._waiting.popleft())
        return batch

    async def _settle(self, batch: list[tuple[Unit, "asyncio.Future[_Answer]"]]) -> None:
        """Give every waiting caller of this batch an answer, whatever happens."""
        try:
            answers = await self._commit([unit for unit, _ in batch])
        except errors.Contended as error:
            answers = [error] * len(batch)
        except Exception as error:  # noqa: BLE001 -- every waiting caller gets an answer, whatever went wrong
            if len(batch) == 1:
                answers = [_as_ledger_error(error, batch[0][0])]
            else:
                # One of them breaks the batch. Alone, each of the others goes through.
                for entry in batch:
                    await self._settle([entry])
                return
        again = [entry for entry, answer in zip(batch, answers, strict=True) if isinstance(answer, GuardOutdated)]
        self._waiting.extendleft(reversed(again))
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done() or isinstance(answer, GuardOutdated):
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _commit(self, units: list[Unit]) -> "list[_Answer | Exception]":
        """Run one batch as one transaction, again if the connection died: its keys make that safe.

        Raises:
            Contended: the database stays away, or waited too long for a lock.
            psycopg.Error: a command of the batch breaks it.
        """
        pause_s = RECONNECT_PAUSE_S
        for attempt in range(1, RECONNECT_LIMIT + 1):
            try:
                return await self._attempt(units)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected):
                await self._rollback()
                raise errors.Contended("the account is locked") from None
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                await self._disconnect()
                _log.warning("ledger_connection_lost", attempt=attempt, commands=len(units), error=str(error).strip())
                if attempt == RECONNECT_LIMIT or self._stopping:
                    raise errors.Contended("the database is unreachable") from error
                await asyncio.sleep(pause_s)
                pause_s *= 2
            except BaseException:
                await self._rollback()
                raise
        raise AssertionError("unreachable")

    async def _attempt(self, units: list[Unit]) -> "list[_Answer | Exception]":
        if self._connection is None:
            self._connection = await database.connect(
                self._url, name="holdfast ledger writer", settings=database.ROWS_BY_KEY
            )
        loaded = await load(self._connection, units)
        decided = decide_batch(units, loaded, now_us=self._clock_us())
        await save(self._connection, decided, loaded)
        if self._on_commit is not None and decided.events:
            self._on_commit(list({event.account_id for event in decided.events}))
        return decided.answers

    async def _rollback(self) -> None:
        try:
            if self._connection is not None:
                await self._connection.rollback()
        except psycopg.Error:
            await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _as_ledger_error(error: Exception, unit: Unit) -> Exception:
    """Name what the database refused by its constraint; anything else is a bug and stays as it is."""
    constraint = error.diag.constraint_name if isinstance(error, psycopg.errors.UniqueViolation) else None
    for command in unit.commands:
        if constraint == "freezes_id_account" and isinstance(command, Freeze):
            return errors.FreezeExists(command.freeze_id)
        if constraint == "events_account_command":
            # The key is new, or it would have been found: its hash is that of another key.
            return errors.IdempotencyKeyReused(command.command_key)
    if isinstance(error, UnicodeEncodeError):
        return errors.UnstorableText()
    if isinstance(error, psycopg.DataError) and error.sqlstate in _UNSTORABLE:
        return errors.UnstorableText()
    return error
