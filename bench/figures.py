"""What was measured, beside what it is to be compared with, as a table and as JSON."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

RESULTS: Final = Path(__file__).parent / "results"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. `bar` is what it has to reach: at least, or at most where `at_most` says so."""

    suite: str
    name: str
    value: float
    unit: str
    bar: float | None = None
    at_most: bool = False
    yardstick: str = ""
    yardstick_value: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached, if there is one."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar


def percentile(values: list[float], fraction: float) -> float:
    """Return the value that `fraction` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(fraction * len(ordered) + 0.5) - 1))]


def table(figures: list[Figure]) -> Table:
    """Lay the figures out for people."""
    result = Table(title="Holdfast", title_justify="left")
    for column in ("suite", "figure", "measured", "to reach", "", "yardstick"):
        result.add_column(column, justify="right" if column in {"measured", "to reach"} else "left")
    marks = {True: "[green]reached[/green]", False: "[red]missed[/red]", None: ""}
    for figure in figures:
        bar = "" if figure.bar is None else f"{'≤' if figure.at_most else '≥'} {_number(figure.bar)}"
        yardstick = figure.yardstick
        if figure.yardstick_value is not None:
            yardstick += f": {_number(figure.yardstick_value)}"
        measured = f"{_number(figure.value)} {figure.unit}"
        result.add_row(figure.suite, figure.name, measured, bar, marks[figure.reached], yardstick)
    return result


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def publish(figures: list[Figure]) -> Path:
    """Print the table, write the JSON, and return where it is."""
    Console(width=160).print(table(figures))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    report = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cores": _cores()},
        "figures": [msgspec.to_builtins(figure) | {"reached": figure.reached} for figure in figures],
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return path


def _cores() -> int:
    return len(os.sched_getaffinity(0))
