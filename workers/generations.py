"""A generation as everyone else sees it, and reading generations from Postgres."""

import base64
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, cast
from uuid import UUID

import msgspec

from ledger import statements
from ledger.database import Database
from ledger.rows import to_us
from workers.errors import GenerationNotFound, InvalidCursor
from workers.providers import Usage
from workers.streams.terminal import Failure, GenerationState, Status, Terminal

sql: Final = statements.load("workers")

MAX_PAGE: Final = 200
_PENDING: Final = 2


class GenerationStatus(IntEnum):
    """Where a generation is in its life, by the number it is stored under. From `completed` on nothing changes."""

    queued = 0
    running = 1
    completed = 2
    cancelled = 3
    failed = 4

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, for good."""
        return self.value >= _PENDING


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What it took to serve a generation: who did, and where the time went, in microseconds.

    `None` where nobody measured: the worker was lost, or nothing was run.
    """

    served_model: str | None = None
    served_provider: str | None = None
    fallback_used: bool = False
    cache_hit: bool = False
    input_length: int | None = None
    """Characters of the conversation."""
    total_us: int | None = None
    """From admission to its end, waiting for its turn included."""
    database_us: int | None = None
    cache_read_us: int | None = None
    """Looking it up in the prompt cache."""
    credit_us: int | None = None
    """Settling it in the ledger."""
    provider_us: int | None = None
    """In calls to providers, failed ones included."""
    cache_write_us: int | None = None
    """Putting it into the prompt cache."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One generation. Amounts are microcredits, times microseconds since the Unix epoch."""

    id: UUID
    account_id: UUID
    model: str
    mode: str
    provider: str
    status: GenerationStatus
    frozen_microcredits: int
    """What was set aside at admission: an upper bound of the cost. 0 for a model that is free."""
    model_version: int
    price_version: int
    max_output_tokens: int
    request_id: str
    created_at_us: int
    partial: bool = False
    """It ended early, and `output` is what there was by then."""
    cost_microcredits: int | None = None
    shortfall_microcredits: int | None = None
    """What it cost above the freeze and the account no longer had."""
    attempts: int = 0
    """How often a worker took it up."""
    retry_of: UUID | None = None
    usage: Usage | None = None
    usage_estimated: bool = False
    finish_reason: str | None = None
    error: Failure | None = None
    provider_message: str | None = None
    """The provider's own words, for administrators only."""
    started_at_us: int | None = None
    first_token_at_us: int | None = None
    finished_at_us: int | None = None
    cancel_requested_at_us: int | None = None
    tier: int = 0
    """Of its queue, by the number it is stored under; see `workers.tiers`."""
    batch_id: UUID | None = None
    queue_position: int | None = None
    """How many were before it when it was admitted."""
    queue_wait_s: int | None = None
    """How long that was thought to take."""
    figures: Figures | None = None
    """What it took to serve it, once it has ended."""
    output: str | None = None
    """The text, once it has ended; never in lists."""
    artifacts: tuple[dict[str, Any], ...] = ()
    """What came out beside text, as the `artifact` events said; never in lists."""
    structured: Any = None
    """What a structured answer comes to; never in lists."""


class GenerationPage(msgspec.Struct, frozen=True):
    """Some generations, newest first, and the cursor of those that follow."""

    items: tuple[Generation, ...]
    next_cursor: str | None


async def get_generation(database: Database, generation_id: UUID, *, account_id: UUID | None = None) -> Generation:
    """Return one generation; with `account_id`, only if it belongs to this account.

    Raises:
        GenerationNotFound: there is none, or it is another account's.
    """
    found = await find_generation(database, generation_id, account_id=account_id)
    if found is None:
        raise GenerationNotFound(generation_id)
    return found


async def find_generation(
    database: Database, generation_id: UUID, *, account_id: UUID | None = None
) -> Generation | None:
    """Return one generation, or `None` where `get_generation` raises."""
    async with database.connection() as connection:
        cursor = await connection.execute(sql.READ_GENERATION, {"id": generation_id, "account_id": account_id})
        row = await cursor.fetchone()
    return None if row is None else generation_of_row(row)


async def list_generations(
    database: Database, *, account_id: UUID | None, limit: int = 50, cursor: str | None = None
) -> GenerationPage:
    """Return generations, newest first, of one account or of all.

    Raises:
        InvalidCursor: this list gave out no such cursor.
    """
    assert 1 <= limit <= MAX_PAGE, "the edge bounds the page"
    parameters = {
        "account_id": account_id,
        "before_id": None if cursor is None else _decode_cursor(cursor),
        "limit": limit + 1,
    }
    statement = sql.LIST_GENERATIONS if account_id is None else sql.LIST_ACCOUNT_GENERATIONS
    async with database.connection() as connection:
        rows = await (await connection.execute(statement, parameters)).fetchall()
    items = tuple(generation_of_row(row) for row in rows[:limit])
    return GenerationPage(items, _encode_cursor(items[-1].id) if len(rows) > limit else None)


async def terminal_of(database: Database, generation_ids: Sequence[str]) -> dict[str, GenerationState]:
    """Return what Postgres knows of the streams of these generations; an id that is not known is left out."""
    async with database.autocommit() as connection:
        rows = await (
            await connection.execute(sql.READ_STREAM_STATES, {"ids": [UUID(text) for text in generation_ids]})
        ).fetchall()
    return {str(row[0]): _state_of_row(row) for row in rows}


async def read_queue_depth(database: Database) -> int:
    """Return how many generations wait for a worker."""
    async with database.connection() as connection:
        row = await (await connection.execute(sql.COUNT_OUTBOX)).fetchone()
    assert row is not None, "count(*) has a row"
    return int(row[0])


def generation_of_row(row: Sequence[Any]) -> Generation:
    """Build a generation from the columns that `read_generation.sql` and its like return."""
    (
        generation_id, account_id, model, mode, provider, status, partial, frozen, cost, shortfall, model_version,
        price_version, max_output_tokens, attempts, retry_of, request_id, *usage, usage_estimated, finish_reason,
        error_code, error_message, provider_message, created_at, started_at, first_token_at, finished_at,
        cancel_requested_at, served_model, served_provider, fallback_used, cache_hit, input_length, database_us,
        cache_read_us, credit_us, provider_us, cache_write_us, tier, batch_id, queue_position, queue_wait_s, output,
        artifacts, structured,
    ) = row  # fmt: skip
    figures = Figures(
        served_model=served_model,
        served_provider=served_provider,
        fallback_used=fallback_used,
        cache_hit=cache_hit,
        input_length=input_length,
        total_us=None if finished_at is None else to_us(finished_at) - to_us(created_at),
        database_us=database_us,
        cache_read_us=cache_read_us,
        credit_us=credit_us,
        provider_us=provider_us,
        cache_write_us=cache_write_us,
    )
    return Generation(
        id=generation_id,
        account_id=account_id,
        model=model,
        mode=mode,
        provider=provider,
        status=GenerationStatus(status),
        partial=partial,
        frozen_microcredits=frozen,
        cost_microcredits=cost,
        shortfall_microcredits=shortfall,
        model_version=model_version,
        price_version=price_version,
        max_output_tokens=max_output_tokens,
        attempts=attempts,
        retry_of=retry_of,
        request_id=request_id,
        usage=usage_of(usage),
        usage_estimated=usage_estimated,
        finish_reason=finish_reason,
        error=None if error_code is None else Failure(code=error_code, message=error_message),
        provider_message=provider_message,
        created_at_us=to_us(created_at),
        started_at_us=_us_or_none(started_at),
        first_token_at_us=_us_or_none(first_token_at),
        finished_at_us=_us_or_none(finished_at),
        cancel_requested_at_us=_us_or_none(cancel_requested_at),
        tier=tier,
        batch_id=batch_id,
        queue_position=queue_position,
        queue_wait_s=queue_wait_s,
        figures=figures if GenerationStatus(status).is_terminal else None,
        output=None if output is None else bytes(output).decode(),
        artifacts=() if artifacts is None else tuple(msgspec.json.decode(bytes(artifacts))),
        structured=None if structured is None else msgspec.json.decode(bytes(structured)),
    )


def usage_numbers(usage: Usage | None) -> dict[str, int]:
    """Return usage as answers and `end` events show it: the totals always, the parts where there are any."""
    numbers = msgspec.structs.asdict(usage or Usage())
    return {name: count for name, count in numbers.items() if count or name in {"input_tokens", "output_tokens"}}


def _state_of_row(row: Sequence[Any]) -> GenerationState:
    (
        _, attempt, status, end_epoch, end_seq, length, sha256, cost, error_code, error_message, *usage, output,
        artifacts, structured,
    ) = row  # fmt: skip
    if not GenerationStatus(status).is_terminal:
        return GenerationState(epoch=attempt)
    terminal = Terminal(
        epoch=end_epoch,
        end_seq=end_seq,
        status=cast("Status", GenerationStatus(status).name),
        text=bytes(output or b"").decode(),
        text_length=length,
        text_sha256=sha256,
        usage=usage_numbers(usage_of(usage)),
        cost_microcredits=cost,
        error=None if error_code is None else Failure(code=error_code, message=error_message),
        artifacts=[] if artifacts is None else msgspec.json.decode(bytes(artifacts)),
        structured=None if structured is None else msgspec.json.decode(bytes(structured)),
    )
    return GenerationState(epoch=end_epoch, terminal=terminal)


def usage_of(counts: Sequence[int | None]) -> Usage | None:
    """Build usage from its columns, in the order of its fields; `None` where nobody knows."""
    if counts[0] is None:
        return None
    return Usage(**{name: count or 0 for name, count in zip(Usage.__struct_fields__, counts, strict=True)})


def _us_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _encode_cursor(generation_id: UUID) -> str:
    return base64.urlsafe_b64encode(generation_id.bytes).decode().rstrip("=")


def _decode_cursor(text: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(text.encode() + b"==", altchars=b"-_", validate=True))
    except ValueError:
        raise InvalidCursor from None
