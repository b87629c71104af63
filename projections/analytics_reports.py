"""Reading the analytics. All of it comes from what `analytics` added up: no report looks at generations or events.

Each report is one statement, which also says up to which event its figures go.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Generic, Literal, LiteralString, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from ledger.database import Database
from projections.analytics import sql

BUCKET_RATIO: Final = 1.05
"""Bucket n of a histogram ends at this to the power of n, in milliseconds; add_ended_generations.sql fills them."""

Grouping: TypeAlias = Literal["user", "model", "provider", "operation", "day"]
Ranking: TypeAlias = Literal["spent", "bought", "generations"]

Row = TypeVar("Row")

_COVERAGE_COLUMNS: Final = 3


class Days(msgspec.Struct, frozen=True):
    """The days that a report is about, both included."""

    first: date
    last: date


class Report(msgspec.Struct, Generic[Row], frozen=True):
    """The rows of a report and what they cover: every event up to `seq`, taken in last at `updated_at`."""

    rows: tuple[Row, ...]
    seq: int
    updated_at: datetime
    behind: int
    """Sealed events that are not in the figures yet."""


class Usage(msgspec.Struct, frozen=True):
    """What generations used. Amounts are microcredits, cost millionths of a US dollar, latencies buckets."""

    key: str
    generations: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    credits: int
    shortfall: int
    calls: int
    calls_of_unknown_cost: int
    cost_microdollars: int
    latency_p50: int | None
    latency_p95: int | None
    latency_p99: int | None
    first_token_p50: int | None
    first_token_p95: int | None
    first_token_p99: int | None
    input_length: int
    images: int
    pixels: int
    duration_ms: int
    characters: int


class Success(msgspec.Struct, frozen=True):
    """How generations ended; `success_rate` is the decimal share of those not cancelled that completed.

    The other rates are shares of all of them.
    """

    key: str
    generations: int
    completed: int
    cancelled: int
    failed: int
    partial_outputs: int
    success_rate: str | None
    fallbacks_used: int
    fallback_rate: str | None
    cache_hits: int
    cache_hit_rate: str | None


class Failures(msgspec.Struct, frozen=True):
    """How many generations failed for one class of reasons, and the decimal share of those not cancelled that did."""

    place: str
    key: str
    error_class: str
    generations: int
    error_rate: str | None


class Timing(msgspec.Struct, frozen=True):
    """How long one part of generations that completed took; percentiles are buckets, see `latency_ms`."""

    place: str
    key: str
    part: str
    generations: int
    p50: int
    p95: int
    p99: int


class Margin(msgspec.Struct, frozen=True):
    """What used credits were bought for in one currency, and providers were paid in it. Money is decimal text."""

    place: str
    key: str
    currency: str
    credits: int
    revenue: str
    provider_cost: str
    margin: str
    margin_rate: str | None
    calls: int
    calls_of_unknown_cost: int


class TopAccount(msgspec.Struct, frozen=True):
    """What an account did over some days. Amounts are microcredits."""

    account_id: UUID
    spent: int
    bought: int
    granted: int
    purchases: int
    generations: int
    active_days: int


class DailyActive(msgspec.Struct, frozen=True):
    """How many accounts did what on a day."""

    day: date
    active_accounts: int
    generating_accounts: int
    buying_accounts: int
    opened_accounts: int


class Conversion(msgspec.Struct, frozen=True):
    """What became of the accounts that were opened on a day."""

    day: date
    opened_accounts: int
    converted_accounts: int
    bought_ever_accounts: int
    conversion_rate: str | None


async def read_usage(database: Database, days: Days, *, by: Grouping, after: str, limit: int) -> Report[Usage]:
    """Return usage by one thing, in the order of its keys, those after `after`."""
    return await _read(database, sql.READ_USAGE, Usage, days, {"by": by, "after": after, "limit": limit})


async def read_success(database: Database, days: Days, *, by: Grouping, after: str, limit: int) -> Report[Success]:
    """Return how generations ended by one thing, in the order of its keys, those after `after`."""
    return await _read(database, sql.READ_SUCCESS, Success, days, {"by": by, "after": after, "limit": limit})


async def read_errors(database: Database, days: Days, *, by: Grouping, after: str, limit: int) -> Report[Failures]:
    """Return why generations failed by one thing and class of error, in the order of `place`, those after `after`."""
    return await _read(database, sql.READ_ERRORS, Failures, days, {"by": by, "after": after, "limit": limit})


async def read_timings(database: Database, days: Days, *, by: Grouping, after: str, limit: int) -> Report[Timing]:
    """Return where the time went by one thing and part of it, in the order of `place`, those after `after`."""
    return await _read(database, sql.READ_TIMINGS, Timing, days, {"by": by, "after": after, "limit": limit})


async def read_margin(database: Database, days: Days, *, by: Grouping, after: str, limit: int) -> Report[Margin]:
    """Return revenue against cost by one thing and currency, in the order of `place`, those after `after`."""
    return await _read(database, sql.READ_MARGIN, Margin, days, {"by": by, "after": after, "limit": limit})


async def read_top_accounts(database: Database, days: Days, *, by: Ranking, limit: int) -> Report[TopAccount]:
    """Return the accounts with most of something, the first first."""
    return await _read(database, sql.READ_TOP_ACCOUNTS, TopAccount, days, {"by": by, "limit": limit})


async def read_daily_active(database: Database, days: Days) -> Report[DailyActive]:
    """Return one row for each of the days."""
    return await _read(database, sql.READ_DAILY_ACTIVE, DailyActive, days, {})


async def read_conversion(database: Database, days: Days, *, within_days: int) -> Report[Conversion]:
    """Return one row for each of the days: of the accounts opened on it, how many bought within so many days."""
    return await _read(database, sql.READ_CONVERSION, Conversion, days, {"within_days": within_days})


def latency_ms(bucket: int | None) -> int | None:
    """Return the time that stands for a bucket: within 2.5 % of any in it, apart from rounding to milliseconds."""
    return None if bucket is None else round(2 * BUCKET_RATIO**bucket / (BUCKET_RATIO + 1))


async def _read(
    database: Database,
    statement: LiteralString,
    row_of: Callable[..., Row],
    days: Days,
    parameters: Mapping[str, object],
) -> Report[Row]:
    given = {"first_day": days.first, "last_day": days.last, **parameters}
    async with database.connection() as connection:
        rows: Sequence[Sequence[Any]] = await (await connection.execute(statement, given)).fetchall()
    assert rows, "what the figures cover is there even where no figures are"
    seq, updated_at, behind = rows[0][:_COVERAGE_COLUMNS]
    figures = [row[_COVERAGE_COLUMNS:] for row in rows if row[_COVERAGE_COLUMNS] is not None]
    return Report(tuple(row_of(*_integers(row)) for row in figures), seq, updated_at, behind)


def _integers(row: Sequence[Any]) -> list[Any]:
    """Make the sums integers: Postgres adds up bigint as numeric."""
    return [int(value) if isinstance(value, Decimal) else value for value in row]
