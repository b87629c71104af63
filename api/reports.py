"""What all reports have in common: the days they are about, how fresh they are, and JSON or CSV."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from litestar.params import QueryParameter
from msgspec import Struct

from api.answers import Answer, Header, RawAnswer, encode
from api.errors import InvalidRequest, MalformedRequest
from api.requests import ApiRequest
from projections.analytics_reports import Days, Report

CSV: Final = "text/csv"
DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 366
ROWS_DEFAULT: Final = 1_000
ROWS_MAX: Final = 10_000

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

Format: TypeAlias = Literal["auto", "json", "csv"]

FromDay: TypeAlias = Annotated[str | None, QueryParameter(name="from", max_length=10, schema_extra={"format": "date"})]
ToDay: TypeAlias = Annotated[str | None, QueryParameter(name="to", max_length=10, schema_extra={"format": "date"})]
AnswerFormat: TypeAlias = Annotated[
    Format, QueryParameter(name="format", schema_extra={"enum": ["auto", "json", "csv"]})
]
RowLimit: TypeAlias = Annotated[int, QueryParameter(name="limit", ge=1, le=ROWS_MAX)]

Item = TypeVar("Item", bound=Struct)
Row = TypeVar("Row")

REPORT_HEADERS: Final[dict[str, Any]] = {
    "X-As-Of-Seq": {"schema": {"type": "integer"}, "description": "As `as_of_seq` in JSON."},
    "X-As-Of": {"schema": {"type": "string", "format": "date-time"}, "description": "As `as_of` in JSON."},
    "X-Behind": {"schema": {"type": "integer"}, "description": "As `behind` in JSON."},
    "X-Next-Cursor": {
        "schema": {"type": "string"},
        "description": "As `next_cursor` in JSON; absent on the last page.",
    },
}
"""CSV has no place for these but the headers; JSON answers carry them too."""


class ReportBody(Struct, Generic[Item], frozen=True, kw_only=True, rename={"from_": "from"}):
    """A report about the days `from` to `to`, both included, in UTC.

    It covers every ledger event up to and with `as_of_seq`. The last were taken in at `as_of`; `behind` sealed events
    are waiting.
    """

    items: list[Item]
    next_cursor: str | None
    from_: date
    to: date
    as_of_seq: int
    as_of: datetime
    behind: int


class ReportAnswer(Answer[ReportBody[Item]], Generic[Item]):
    """A report as the caller wants to read it."""

    def __init__(self, body: ReportBody[Item], columns: Sequence[str], *, as_csv: bool) -> None:
        super().__init__(body)
        self._columns = columns
        self._as_csv = as_csv

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Render."""
        headers = tuple(_headers(self.content))
        if self._as_csv:
            body = _csv(self._columns, self.content.items)
            return RawAnswer(body, status=200, content_type=b"text/csv; charset=utf-8; header=present", headers=headers)
        return RawAnswer(encode(self.content), status=200, headers=headers)


def report_answer(
    request: ApiRequest,
    report: Report[Row],
    item_type: type[Item],
    items: Iterable[Item],
    *,
    days: Days,
    form: Format,
    next_cursor: str | None = None,
) -> Answer[ReportBody[Item]]:
    """Answer with a report, in the form that the caller asks for."""
    body = ReportBody(
        items=list(items),
        next_cursor=next_cursor,
        from_=days.first,
        to=days.last,
        as_of_seq=report.seq,
        as_of=report.updated_at,
        behind=report.behind,
    )
    return ReportAnswer(body, item_type.__struct_encode_fields__, as_csv=_wants_csv(form, request.header(b"accept")))


def parse_days(first: str | None, last: str | None) -> Days:
    """Read the days that a report is about: by default the last 30, up to and with today.

    Raises:
        MalformedRequest: one of them is not a date.
        InvalidRequest: they end before they begin, or are too many.
    """
    last_day = datetime.now(UTC).date() if last is None else _parse_day(last, "to")
    if first is None:
        return Days(date.fromordinal(max(1, last_day.toordinal() - DAYS_DEFAULT + 1)), last_day)
    days = Days(_parse_day(first, "from"), last_day)
    if not 0 <= (days.last - days.first).days < DAYS_MAX:
        raise InvalidRequest(f"from must not be after to, and they may be {DAYS_MAX} days at most")
    return days


def _parse_day(text: str, name: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise MalformedRequest(f"{name} must be a date, such as 2026-01-31")


def _wants_csv(form: Format, accept: str | None) -> bool:
    """Take the form that the query names, else the first of the two that `Accept` does."""
    if form != "auto":
        return form == "csv"
    named = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return next((name for name in named if name in {CSV, "application/json", "*/*"}), "") == CSV


def _headers(body: ReportBody[Any]) -> Iterable[Header]:
    yield b"x-as-of-seq", str(body.as_of_seq).encode()
    yield b"x-as-of", msgspec.json.encode(body.as_of).strip(b'"')
    yield b"x-behind", str(body.behind).encode()
    if body.next_cursor is not None:
        yield b"x-next-cursor", body.next_cursor.encode()
    yield b"vary", b"Accept"


def _csv(columns: Sequence[str], items: Iterable[Struct]) -> bytes:
    """Write rows as RFC 4180 has them, with what JSON has under the same names; null is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(item) for item in items)
    return text.getvalue().encode()
