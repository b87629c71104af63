"""Writing the lines of a reconciliation as they come: a table for people, JSON for programs, CSV for spreadsheets."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, Self, TextIO
from uuid import UUID

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.amounts import format_credits
from workers.payments.money import Money
from workers.payments.reconciling.lines import ADVICE, Finding, Kind, Line, What

ROWS_AT_ONCE: Final = 200
"""So many lines share one table: columns can be fitted to them, and memory does not grow with the lines."""

LEAST_WIDTH: Final = 160
"""Of what is written to a file or a pipe, which have no width of their own."""

STYLES: Final = {
    Kind.matched: "green",
    Kind.missing_here: "yellow",
    Kind.missing_there: "red",
    Kind.different_amount: "red",
    Kind.duplicate: "magenta",
    Kind.mismatch: "cyan",
}

CSV_COLUMNS: Final = (
    "kind", "detail", "what", "id", "payment_id", "order_id", "account_id", "at", "theirs_amount", "theirs_currency",
    "ours_amount", "ours_currency", "credits", "after_kind", "after_detail", "problem", "advice",
)  # fmt: skip


class ShownAmount(msgspec.Struct, frozen=True):
    """An amount of money as it is printed."""

    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money | None) -> Self | None:
        """Print an amount, if there is one."""
        return None if money is None else cls(money.text, money.currency)


class ShownFinding(msgspec.Struct, frozen=True):
    """How two sides compare, as it is printed."""

    kind: Kind
    detail: str

    @classmethod
    def of(cls, finding: Finding | None) -> Self | None:
        """Print a finding, if there is one."""
        return None if finding is None else cls(finding.kind, finding.detail)


class ShownLine(msgspec.Struct, frozen=True):
    """A line as it is printed. `after` is how it is now, where it was to be posted."""

    kind: Kind
    detail: str
    what: What
    id: str
    payment_id: str
    order_id: UUID | None
    account_id: UUID | None
    at: datetime
    theirs: ShownAmount | None
    ours: ShownAmount | None
    credits: str | None
    after: ShownFinding | None
    problem: str | None
    advice: str

    @classmethod
    def of(cls, line: Line) -> Self:
        """Print a line."""
        stands = line.stands
        return cls(
            line.found.kind,
            line.found.detail,
            line.what,
            line.id,
            line.payment_id,
            line.order_id,
            line.account_id,
            line.at,
            ShownAmount.of(line.theirs),
            ShownAmount.of(line.ours),
            None if line.credits_microcredits is None else format_credits(line.credits_microcredits),
            ShownFinding.of(line.after),
            line.problem or None,
            ADVICE[stands.kind][stands.detail],
        )


class Report(Protocol):
    """Takes lines one by one."""

    def add(self, line: ShownLine) -> None:
        """Write a line, now or with the next."""
        ...

    def end(self, summary: dict[str, Any]) -> None:
        """Write what is left, and what it all came to."""
        ...


class TableReport:
    """Tables on standard output; below them what to do about each finding, and how many there are of each kind."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, LEAST_WIDTH)
        self._waiting: list[ShownLine] = []
        self._advice: Counter[tuple[Kind, str, str]] = Counter()

    def add(self, line: ShownLine) -> None:
        """Keep it until a table is full."""
        stands = line.after or line
        self._advice[stands.kind, stands.detail, line.advice] += 1
        self._waiting.append(line)
        if len(self._waiting) == ROWS_AT_ONCE:
            self._print()

    def end(self, summary: dict[str, Any]) -> None:
        """Print the last table, the advice and the totals."""
        if self._waiting:
            self._print()
        for (kind, detail, advice), count in sorted(self._advice.items()):
            if kind is not Kind.matched:
                self._console.print(Text(f"{count} {_words(kind, detail)}: {advice}"), soft_wrap=True)
        self._console.print(Text(_totals(summary)), soft_wrap=True)

    def _print(self) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("", "what", "id", "at (UTC)", "account"):
            table.add_column(name, overflow="fold")
        for name in ("theirs", "ours", "credits"):
            table.add_column(name, justify="right", overflow="fold")
        table.add_column("", overflow="fold")
        for line in self._waiting:
            table.add_row(*_cells(line))
        self._console.print(table)
        self._waiting.clear()


class JsonReport:
    """One JSON document on standard output, line after line, begun with the first."""

    def __init__(self, head: dict[str, Any]) -> None:
        self._encoder = msgspec.json.Encoder()
        self._out = sys.stdout.buffer
        self._before = self._encoder.encode(head)[:-1] + b',"lines":[\n'

    def add(self, line: ShownLine) -> None:
        """Write a line."""
        self._out.write(self._before + self._encoder.encode(line))
        self._before = b",\n"

    def end(self, summary: dict[str, Any]) -> None:
        """Close the document with what it all came to."""
        begun = b"" if self._before == b",\n" else self._before
        self._out.write(begun + b"]," + self._encoder.encode(summary)[1:] + b"\n")
        self._out.flush()


class CsvReport:
    """A CSV file, which is there under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: TextIO = self._partial.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(CSV_COLUMNS)

    def add(self, line: ShownLine) -> None:
        """Write a line."""
        theirs, ours = line.theirs or ShownAmount("", ""), line.ours or ShownAmount("", "")
        after = ("", "") if line.after is None else (line.after.kind, line.after.detail)
        self._writer.writerow(
            (
                line.kind, line.detail, line.what, line.id, line.payment_id, line.order_id, line.account_id,
                line.at.isoformat(), theirs.amount, theirs.currency, ours.amount, ours.currency, line.credits, *after,
                line.problem, line.advice,
            )
        )  # fmt: skip

    def end(self, summary: dict[str, Any]) -> None:
        """Give the file its name. It has no summary."""
        del summary
        self._file.close()
        self._partial.replace(self._path)

    def abandon(self) -> None:
        """Leave nothing behind, unless it ended."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


def _cells(line: ShownLine) -> tuple[Text | str, ...]:
    amounts = [f"{amount.amount} {amount.currency}" if amount else "-" for amount in (line.theirs, line.ours)]
    notes = line.detail.replace("_", " ")
    if line.after is not None:
        notes = f"{notes} → {_words(line.after.kind, line.after.detail)}"
    if line.problem:
        notes = f"{notes} ({line.problem})"
    return (
        Text(line.kind.replace("_", " "), style=STYLES[line.kind]),
        line.what,
        Text(line.id if line.what == "payment" else f"{line.id} of {line.payment_id}"),
        f"{line.at:%Y-%m-%d %H:%M:%S}",
        "-" if line.account_id is None else str(line.account_id),
        *amounts,
        line.credits or "-",
        Text(notes),
    )


def _words(kind: str, detail: str) -> str:
    return f"{kind} ({detail})".replace("_", " ") if detail else kind.replace("_", " ")


def _totals(summary: dict[str, Any]) -> str:
    said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in summary["totals"].items() if count)
    if summary["totals_after"] is None:
        return said or "nothing on either side"
    after = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in summary["totals_after"].items() if count)
    return f"{said or 'nothing on either side'}; now {after or 'nothing'}"
