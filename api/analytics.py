"""Analytics for administrators and finance. They come from sums that are kept by day, never from live tables."""

from datetime import date
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter
from msgspec import Struct

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, PageLimit, TextCursor, after_text, text_cursor
from api.fields import credits_of
from api.principal import AUDITORS
from api.reports import (
    CSV,
    REPORT_HEADERS,
    ROWS_DEFAULT,
    AnswerFormat,
    FromDay,
    ReportBody,
    RowLimit,
    ToDay,
    parse_days,
    report_answer,
)
from api.requests import ApiRequest
from projections import analytics_reports as reports
from projections.analytics_reports import Grouping, Ranking, latency_ms
from projections.money import format_micros

OPTIONS = {"roles": AUDITORS, "problems": (422,), "also_as": CSV, "answer_headers": REPORT_HEADERS}

By: TypeAlias = Annotated[
    Grouping,
    QueryParameter(name="by", schema_extra={"enum": ["user", "model", "provider", "operation", "day"]}),
]
RankedBy: TypeAlias = Annotated[
    Ranking, QueryParameter(name="by", schema_extra={"enum": ["spent", "bought", "generations"]})
]
WithinDays: TypeAlias = Annotated[int, QueryParameter(name="within_days", ge=1, le=366)]


class UsageItem(Struct, frozen=True, kw_only=True):
    """What generations used. Latencies are of those that completed, within 2.5 %; null where there are none."""

    key: str
    generations: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    credits: str
    shortfall: str
    provider_calls: int
    provider_calls_of_unknown_cost: int
    provider_cost_usd: str
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    latency_p99_ms: int | None
    first_token_p50_ms: int | None
    first_token_p95_ms: int | None
    first_token_p99_ms: int | None
    input_length: int
    images: int
    pixels: int
    duration_ms: int
    characters: int


class MarginItem(Struct, frozen=True, kw_only=True):
    """Credits used and what they were bought for in one currency, less what providers were paid in it.

    The currency is empty for credits that nothing was paid for.
    """

    key: str
    currency: str
    credits: str
    revenue: str
    provider_cost: str
    margin: str
    margin_rate: str | None
    provider_calls: int
    provider_calls_of_unknown_cost: int


class SuccessItem(Struct, frozen=True, kw_only=True):
    """How generations ended. The rate is of those that completed or failed; cancelling is the user's choice."""

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


class TopAccountItem(Struct, frozen=True, kw_only=True):
    """What an account did over the days of the report."""

    account_id: UUID
    spent: str
    bought: str
    granted: str
    purchases: int
    generations: int
    active_days: int


class DailyActiveItem(Struct, frozen=True, kw_only=True):
    """How many accounts were active, generated, bought credits, or were opened on a day."""

    day: date
    active_accounts: int
    generating_accounts: int
    buying_accounts: int
    opened_accounts: int


class ConversionItem(Struct, frozen=True, kw_only=True):
    """Of the accounts opened on a day: how many bought credits within the days asked for, and ever."""

    day: date
    opened_accounts: int
    converted_accounts: int
    bought_ever_accounts: int
    conversion_rate: str | None


@get("/v1/analytics/usage", opt=OPTIONS)
async def usage(
    request: ApiRequest,
    by: By = "model",
    first: FromDay = None,
    last: ToDay = None,
    limit: RowLimit = ROWS_DEFAULT,
    cursor: TextCursor = None,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[UsageItem]]:
    """Show what generations used, by user, model, provider, operation or day."""
    days, after = parse_days(first, last), after_text(cursor)
    found = await reports.read_usage(request.services.database, days, by=by, after=after, limit=limit + 1)
    more = text_cursor([row.key for row in found.rows], limit=limit)
    items = [_usage_item(row) for row in found.rows[:limit]]
    return report_answer(request, found, UsageItem, items, days=days, form=form, next_cursor=more)


@get("/v1/analytics/margin", opt=OPTIONS)
async def margin(
    request: ApiRequest,
    by: By = "model",
    first: FromDay = None,
    last: ToDay = None,
    limit: RowLimit = ROWS_DEFAULT,
    cursor: TextCursor = None,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[MarginItem]]:
    """Show what used credits were bought for, less what providers cost, by one thing and currency."""
    days, after = parse_days(first, last), after_text(cursor)
    found = await reports.read_margin(request.services.database, days, by=by, after=after, limit=limit + 1)
    more = text_cursor([row.place for row in found.rows], limit=limit)
    items = [_margin_item(row) for row in found.rows[:limit]]
    return report_answer(request, found, MarginItem, items, days=days, form=form, next_cursor=more)


@get("/v1/analytics/success-rates", opt=OPTIONS)
async def success_rates(
    request: ApiRequest,
    by: By = "model",
    first: FromDay = None,
    last: ToDay = None,
    limit: RowLimit = ROWS_DEFAULT,
    cursor: TextCursor = None,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[SuccessItem]]:
    """Show how generations ended, by user, model, provider, operation or day."""
    days, after = parse_days(first, last), after_text(cursor)
    found = await reports.read_success(request.services.database, days, by=by, after=after, limit=limit + 1)
    more = text_cursor([row.key for row in found.rows], limit=limit)
    items = [_success_item(row) for row in found.rows[:limit]]
    return report_answer(request, found, SuccessItem, items, days=days, form=form, next_cursor=more)


@get("/v1/analytics/top-accounts", opt=OPTIONS)
async def top_accounts(
    request: ApiRequest,
    by: RankedBy = "spent",
    first: FromDay = None,
    last: ToDay = None,
    limit: PageLimit = LIMIT_DEFAULT,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[TopAccountItem]]:
    """Show the accounts that spent, bought or generated most, the first first."""
    days = parse_days(first, last)
    found = await reports.read_top_accounts(request.services.database, days, by=by, limit=limit)
    items = [_top_account_item(row) for row in found.rows]
    return report_answer(request, found, TopAccountItem, items, days=days, form=form)


@get("/v1/analytics/daily-active", opt=OPTIONS)
async def daily_active(
    request: ApiRequest, first: FromDay = None, last: ToDay = None, form: AnswerFormat = "auto"
) -> Answer[ReportBody[DailyActiveItem]]:
    """Show how many accounts did something themselves, day by day."""
    days = parse_days(first, last)
    found = await reports.read_daily_active(request.services.database, days)
    items = [_daily_active_item(row) for row in found.rows]
    return report_answer(request, found, DailyActiveItem, items, days=days, form=form)


@get("/v1/analytics/conversion", opt=OPTIONS)
async def conversion(
    request: ApiRequest,
    first: FromDay = None,
    last: ToDay = None,
    within_days: WithinDays = 30,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[ConversionItem]]:
    """Show, by the day accounts were opened on, how many bought credits within so many days."""
    days = parse_days(first, last)
    found = await reports.read_conversion(request.services.database, days, within_days=within_days)
    items = [_conversion_item(row) for row in found.rows]
    return report_answer(request, found, ConversionItem, items, days=days, form=form)


def _usage_item(row: reports.Usage) -> UsageItem:
    return UsageItem(
        key=row.key,
        generations=row.generations,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        reasoning_tokens=row.reasoning_tokens,
        credits=credits_of(row.credits),
        shortfall=credits_of(row.shortfall),
        provider_calls=row.calls,
        provider_calls_of_unknown_cost=row.calls_of_unknown_cost,
        provider_cost_usd=format_micros(row.cost_microdollars),
        latency_p50_ms=latency_ms(row.latency_p50),
        latency_p95_ms=latency_ms(row.latency_p95),
        latency_p99_ms=latency_ms(row.latency_p99),
        first_token_p50_ms=latency_ms(row.first_token_p50),
        first_token_p95_ms=latency_ms(row.first_token_p95),
        first_token_p99_ms=latency_ms(row.first_token_p99),
        input_length=row.input_length,
        images=row.images,
        pixels=row.pixels,
        duration_ms=row.duration_ms,
        characters=row.characters,
    )


def _margin_item(row: reports.Margin) -> MarginItem:
    return MarginItem(
        key=row.key,
        currency=row.currency,
        credits=credits_of(row.credits),
        revenue=row.revenue,
        provider_cost=row.provider_cost,
        margin=row.margin,
        margin_rate=row.margin_rate,
        provider_calls=row.calls,
        provider_calls_of_unknown_cost=row.calls_of_unknown_cost,
    )


def _success_item(row: reports.Success) -> SuccessItem:
    return SuccessItem(
        key=row.key,
        generations=row.generations,
        completed=row.completed,
        cancelled=row.cancelled,
        failed=row.failed,
        partial_outputs=row.partial_outputs,
        success_rate=row.success_rate,
        fallbacks_used=row.fallbacks_used,
        fallback_rate=row.fallback_rate,
        cache_hits=row.cache_hits,
        cache_hit_rate=row.cache_hit_rate,
    )


def _top_account_item(row: reports.TopAccount) -> TopAccountItem:
    return TopAccountItem(
        account_id=row.account_id,
        spent=credits_of(row.spent),
        bought=credits_of(row.bought),
        granted=credits_of(row.granted),
        purchases=row.purchases,
        generations=row.generations,
        active_days=row.active_days,
    )


def _daily_active_item(row: reports.DailyActive) -> DailyActiveItem:
    return DailyActiveItem(
        day=row.day,
        active_accounts=row.active_accounts,
        generating_accounts=row.generating_accounts,
        buying_accounts=row.buying_accounts,
        opened_accounts=row.opened_accounts,
    )


def _conversion_item(row: reports.Conversion) -> ConversionItem:
    return ConversionItem(
        day=row.day,
        opened_accounts=row.opened_accounts,
        converted_accounts=row.converted_accounts,
        bought_ever_accounts=row.bought_ever_accounts,
        conversion_rate=row.conversion_rate,
    )
