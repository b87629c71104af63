"""Why generations failed and where their time went, for administrators and finance; from sums kept by day."""

from litestar import get
from msgspec import Struct

from api.analytics import OPTIONS, By
from api.answers import Answer
from api.cursors import TextCursor, after_text, text_cursor
from api.reports import ROWS_DEFAULT, AnswerFormat, FromDay, ReportBody, RowLimit, ToDay, parse_days, report_answer
from api.requests import ApiRequest
from projections import analytics_reports as reports
from projections.analytics_reports import latency_ms


class ErrorItem(Struct, frozen=True, kw_only=True):
    """Generations that failed for one class of reasons. The rate is of those that completed or failed."""

    key: str
    error_class: str
    generations: int
    error_rate: str | None


class TimingItem(Struct, frozen=True, kw_only=True):
    """How long one part of generations took. They are of those that completed, within 2.5 %."""

    key: str
    part: str
    generations: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


@get("/v1/analytics/errors", opt=OPTIONS)
async def errors(
    request: ApiRequest,
    by: By = "model",
    first: FromDay = None,
    last: ToDay = None,
    limit: RowLimit = ROWS_DEFAULT,
    cursor: TextCursor = None,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[ErrorItem]]:
    """Show why generations failed, by one thing and class of error."""
    days, after = parse_days(first, last), after_text(cursor)
    found = await reports.read_errors(request.services.database, days, by=by, after=after, limit=limit + 1)
    more = text_cursor([row.place for row in found.rows], limit=limit)
    items = [_error_item(row) for row in found.rows[:limit]]
    return report_answer(request, found, ErrorItem, items, days=days, form=form, next_cursor=more)


@get("/v1/analytics/timings", opt=OPTIONS)
async def timings(
    request: ApiRequest,
    by: By = "model",
    first: FromDay = None,
    last: ToDay = None,
    limit: RowLimit = ROWS_DEFAULT,
    cursor: TextCursor = None,
    form: AnswerFormat = "auto",
) -> Answer[ReportBody[TimingItem]]:
    """Show where the time of generations went, by one thing and part of the time."""
    days, after = parse_days(first, last), after_text(cursor)
    found = await reports.read_timings(request.services.database, days, by=by, after=after, limit=limit + 1)
    more = text_cursor([row.place for row in found.rows], limit=limit)
    items = [_timing_item(row) for row in found.rows[:limit]]
    return report_answer(request, found, TimingItem, items, days=days, form=form, next_cursor=more)


def _error_item(row: reports.Failures) -> ErrorItem:
    return ErrorItem(key=row.key, error_class=row.error_class, generations=row.generations, error_rate=row.error_rate)


def _timing_item(row: reports.Timing) -> TimingItem:
    return TimingItem(
        key=row.key,
        part=row.part,
        generations=row.generations,
        p50_ms=latency_ms(row.p50),
        p95_ms=latency_ms(row.p95),
        p99_ms=latency_ms(row.p99),
    )
