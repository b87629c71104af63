"""Many generations asked for at once: each with its own freeze, taken on or refused by itself.

What was taken on is recorded with its generation, what was refused once all are decided. Items have idempotency keys of
their own, so a batch whose request broke off is gone through again and takes on nothing twice.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from uuid_utils.compat import uuid7

from ledger.commands import OWN_KEY_PREFIX
from ledger.database import Database
from ledger.errors import AccountNotFound, IdempotencyKeyReused
from ledger.rows import from_us, to_us
from workers.admission import BatchItem, admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.errors import BatchNotFound
from workers.generations import Generation, GenerationStatus, sql
from workers.requests import GenerationRequest

MAX_ITEMS: Final = 500
AT_ONCE: Final = 64
"""How many items are worked on at the same time; their freezes share commits."""


class BatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, and how many of its items are where. Until it `is_decided`, some may be nowhere yet."""

    id: UUID
    account_id: UUID
    created_at_us: int
    total: int
    is_decided: bool
    queued: int
    running: int
    completed: int
    cancelled: int
    failed: int
    refused: int

    @property
    def is_over(self) -> bool:
        """Whether nothing about it will change any more."""
        return self.is_decided and self.queued + self.running == 0


class DecidedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a batch by its place from 0: a generation and its status, or the problem it was refused with."""

    ordinal: int
    generation_id: UUID | None
    status: GenerationStatus | None
    problem: bytes | None


class SubmittedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch: for each item, in their order, a generation or the problem it was refused with."""

    id: UUID
    created_at_us: int
    replayed: bool
    """An earlier request had decided all of it."""
    items: tuple[Generation | bytes, ...]


class _Batch(NamedTuple):
    id: UUID
    created_at: datetime


async def submit_batch(
    context: GenerationContext,
    account_id: UUID,
    requests: Sequence[GenerationRequest | Exception],
    *,
    problem_of: Callable[[Exception], bytes],
    idempotency_key: str | None = None,
    request_id: str,
) -> SubmittedBatch:
    """Take on what can be taken on, each item by itself, and return what came of each.

    An item that is an error already is refused with it; `problem_of` writes down why an item was refused. With the same
    key and items again, the same comes of it; two such requests must not run at the same time.

    Raises:
        AccountNotFound: there is no such account.
        IdempotencyKeyReused: the key belongs to another batch of this account.
    """
    assert 1 <= len(requests) <= MAX_ITEMS, "the edge bounds the batch"
    batch = await _open(context.database, account_id, requests, idempotency_key, request_id)
    known = await _read_problems(context.database, batch.id, account_id)
    room = asyncio.Semaphore(AT_ONCE)
    is_new = False

    async def take(ordinal: int, request: GenerationRequest | Exception) -> Generation | bytes:
        nonlocal is_new
        if ordinal in known:
            return known[ordinal]
        if isinstance(request, Exception):
            is_new = True
            return problem_of(request)
        try:
            async with room:
                admitted = await admit(
                    context,
                    account_id,
                    request,
                    idempotency_key=f"{OWN_KEY_PREFIX}batch:{batch.id}:{ordinal}",
                    request_id=request_id,
                    batch_item=BatchItem(batch.id, ordinal),
                )
        except Exception as error:  # noqa: BLE001 - one item, whatever is wrong with it, does not disturb the others
            is_new = True
            return problem_of(error)
        is_new = is_new or not admitted.replayed
        return admitted.generation

    items = await asyncio.gather(*(take(ordinal, request) for ordinal, request in enumerate(requests)))
    await _decide(context.database, batch.id, account_id, items)
    return SubmittedBatch(id=batch.id, created_at_us=to_us(batch.created_at), replayed=not is_new, items=tuple(items))


async def read_batch(database: Database, batch_id: UUID, *, account_id: UUID | None = None) -> BatchCounts:
    """Return a batch; with `account_id`, only if it belongs to this account.

    Raises:
        BatchNotFound: there is none, or it is another account's.
    """
    async with database.connection() as connection:
        cursor = await connection.execute(sql.READ_BATCH, {"id": batch_id, "account_id": account_id})
        row = await cursor.fetchone()
    if row is None:
        raise BatchNotFound(batch_id)
    return BatchCounts(
        id=row[0],
        account_id=row[1],
        created_at_us=to_us(row[2]),
        total=row[3],
        is_decided=row[4],
        queued=row[5],
        running=row[6],
        completed=row[7],
        cancelled=row[8],
        failed=row[9],
        refused=row[10],
    )


async def list_items(
    database: Database, batch: BatchCounts, *, from_ordinal: int = 0, limit: int
) -> tuple[DecidedItem, ...]:
    """Return items of a batch that were decided, in their order."""
    parameters = {"batch_id": batch.id, "account_id": batch.account_id, "from_ordinal": from_ordinal, "limit": limit}
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.LIST_BATCH_ITEMS, parameters)).fetchall()
    return tuple(
        DecidedItem(
            ordinal=ordinal,
            generation_id=generation_id,
            status=None if status is None else GenerationStatus(status),
            problem=None if problem is None else bytes(problem),
        )
        for ordinal, problem, generation_id, status in rows
    )


async def cancel_batch(context: GenerationContext, batch: BatchCounts) -> BatchCounts:
    """Ask for everything of a batch to be stopped that has not ended, and return the batch as it is then.

    Raises:
        Contended: the database could not take it now; what was cancelled stays so.
    """
    ids = {"batch_id": batch.id, "account_id": batch.account_id}
    async with context.database.connection() as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(sql.LIST_OPEN_BATCH_ITEMS, ids)).fetchall()
    room = asyncio.Semaphore(AT_ONCE)

    async def cancel(generation_id: UUID) -> None:
        async with room:
            await cancel_generation(context, generation_id, account_id=batch.account_id)

    await asyncio.gather(*(cancel(row[0]) for row in rows))
    return await read_batch(context.database, batch.id)


async def _open(
    database: Database,
    account_id: UUID,
    requests: Sequence[GenerationRequest | Exception],
    idempotency_key: str | None,
    request_id: str,
) -> _Batch:
    """Write the batch down, or find the one that the key led to."""
    digest = hashlib.sha256(b"".join(map(_digest, requests))).digest()
    made = _Batch(uuid7(), from_us(time.time_ns() // 1_000))
    parameters = {
        "id": made.id,
        "account_id": account_id,
        "created_at": made.created_at,
        "total": len(requests),
        "request_id": request_id,
        "idempotency_sha256": None if idempotency_key is None else hashlib.sha256(idempotency_key.encode()).digest(),
        "request_sha256": digest,
    }
    try:
        async with database.connection() as connection:
            if await (await connection.execute(sql.INSERT_BATCH_ONCE, parameters)).fetchone() is not None:
                return made
            row = await (await connection.execute(sql.FIND_BATCH, parameters)).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        raise AccountNotFound(account_id) from None
    assert row is not None, "a key that is taken leads to its batch"
    if bytes(row[2]) != digest:
        raise IdempotencyKeyReused(str(idempotency_key))
    return _Batch(row[0], row[1])


def _digest(request: GenerationRequest | Exception) -> bytes:
    # What is refused in any case is as good as any other such item.
    return hashlib.sha256(b"refused").digest() if isinstance(request, Exception) else request.sha256()


async def _read_problems(database: Database, batch_id: UUID, account_id: UUID) -> dict[int, bytes]:
    ids = {"batch_id": batch_id, "account_id": account_id}
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.READ_BATCH_PROBLEMS, ids)).fetchall()
    return {ordinal: bytes(problem) for ordinal, problem in rows}


async def _decide(database: Database, batch_id: UUID, account_id: UUID, items: Sequence[Generation | bytes]) -> None:
    refused = [(ordinal, item) for ordinal, item in enumerate(items) if isinstance(item, bytes)]
    parameters = {
        "batch_id": batch_id,
        "account_id": account_id,
        "ordinals": [ordinal for ordinal, _ in refused],
        "problems": [problem for _, problem in refused],
    }
    async with database.connection() as connection:
        await connection.execute(sql.DECIDE_BATCH, parameters)
