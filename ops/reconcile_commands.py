"""`holdfast reconcile`: what a gateway lists against what we have, and posting what is missing here."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.command import data_dir_option, json_option, run
from ops.endpoints import reached_database
from ops.errors import CannotReach, CheckFailed
from ops.instance import DataDirectory
from ops.output import Output
from ops.reconcile_report import CsvReport, JsonReport, Report, ShownLine, TableReport
from workers.logs import configure_logs
from workers.payments.context import PaymentContext
from workers.payments.errors import GatewayNotConfigured
from workers.payments.gateway import Gateway, GatewayError
from workers.payments.gateways.registry import NAMES, Gateways
from workers.payments.reconciling.lines import Kind
from workers.payments.reconciling.posting import AT_ONCE, Poster
from workers.payments.reconciling.reconciliation import Post, Reconciliation, Window

FRESH: Final = timedelta(minutes=5)
"""What is newer may still be on its way here, and is left to the next time."""

LISTED_LATE: Final = {"paypal": timedelta(hours=4)}
"""Gateways that list what happened only some time later."""

_TIME: Final = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was asked for."""

    gateway: str
    window: Window
    apply: bool
    with_matched: bool
    csv_file: Path | None


@click.command("reconcile")
@click.argument("gateway", type=click.Choice(sorted(NAMES)))
@click.option("--since", type=_TIME, metavar="DATE", required=True, help="From this day or time on, UTC.")
@click.option(
    "--until",
    type=_TIME,
    metavar="DATE",
    help="Up to, and without, this day or time, UTC; by default, five minutes ago.",
)
@click.option("--apply", is_flag=True, help="Post what is missing here. A second time changes nothing.")
@click.option("--all", "with_matched", is_flag=True, help="Print what matches, too.")
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the lines to this file, too."
)
@data_dir_option
@json_option
def reconcile(
    gateway: str, since: datetime, until: datetime | None, *, data_dir: Path, as_json: bool, **options: Any
) -> None:
    """Hold the payments and refunds that GATEWAY lists against ours. Exit 1 if anything does not match."""
    fresh = datetime.now(UTC) - LISTED_LATE.get(gateway, FRESH)
    window = Window(since.replace(tzinfo=UTC), fresh if until is None else until.replace(tzinfo=UTC))
    if window.since >= window.until:
        raise click.UsageError("--since must be earlier than --until")
    asked = Asked(gateway=gateway, window=window, **options)

    async def work(output: Output) -> None:
        async with opened_gateway(gateway) as gateways:
            await reconcile_with(asked, gateways, data_dir, output)

    run(work, as_json=as_json)


@contextlib.asynccontextmanager
async def opened_gateway(name: str) -> AsyncGenerator[Gateways]:
    """Make the gateway, for as long as this lasts; what it cannot do is told in one line.

    Raises:
        CannotReach: it is not configured here, or does not answer as it should.
    """
    gateways = Gateways(os.environ)
    try:
        gateways.get(name)
        yield gateways
    except (GatewayError, GatewayNotConfigured) as error:
        raise CannotReach(str(error)) from None
    finally:
        await gateways.aclose()


async def reconcile_with(asked: Asked, gateways: Gateways, data_dir: Path, output: Output) -> None:
    """Compare, report, and post if asked to.

    Raises:
        CheckFailed: something does not match, in the end.
        GatewayError: the gateway did not give the whole list. Nothing is reported then.
    """
    # What is noted while posting is a line of the report as well.
    configure_logs(process="reconcile", log_format=output.log_format, level="error")
    async with (
        reached_database(DataDirectory(data_dir)) as endpoints,
        Reconciliation.opened(endpoints.database_url, asked.gateway, asked.window) as reconciliation,
        _poster(asked, gateways, endpoints.database_url) as post,
    ):
        with _reports(asked, output) as reports, _progress(output) as progress:
            await _listed(reconciliation, gateways.get(asked.gateway), progress)
            totals, after = await _compared(reconciliation, post, reports, progress, asked=asked)
    if wrong := sum(after.values()) - after[Kind.matched]:
        raise CheckFailed(f"{wrong} of {sum(totals.values())} do not match")


async def _listed(reconciliation: Reconciliation, gateway: Gateway, progress: Progress) -> None:
    listing = progress.add_task(f"listing at {gateway.name}", total=None)
    count = await reconciliation.load(gateway, progress=lambda more: progress.advance(listing, more))
    progress.remove_task(listing)
    progress.add_task("comparing", total=count)


async def _compared(
    reconciliation: Reconciliation, post: Post | None, reports: list[Report], progress: Progress, *, asked: Asked
) -> tuple[Counter[Kind], Counter[Kind]]:
    """Report every line, and return how many there are of each kind: as they were found, and as they are in the end."""
    totals: Counter[Kind] = Counter()
    after: Counter[Kind] = Counter()
    if sys.stdout.isatty():
        # A bar and a table would write over each other.
        progress.stop()
    async with contextlib.aclosing(reconciliation.lines(post=post)) as lines:
        async for line in lines:
            totals[line.found.kind] += 1
            after[line.stands.kind] += 1
            for task in progress.task_ids:
                progress.advance(task)
            if asked.with_matched or line.found.kind is not Kind.matched:
                shown = ShownLine.of(line)
                for report in reports:
                    report.add(shown)
    progress.stop()
    summary = {
        "totals": _by_name(totals),
        "totals_after": _by_name(after) if asked.apply else None,
        "matches": set(after) <= {Kind.matched},
    }
    for report in reports:
        report.end(summary)
    return totals, after


@contextlib.asynccontextmanager
async def _poster(asked: Asked, gateways: Gateways, database_url: str) -> AsyncGenerator[Post | None]:
    """Open the ledger only where something is to be posted."""
    if not asked.apply:
        yield None
        return
    async with (
        Database(database_url, name="holdfast cli", max_size=AT_ONCE) as database,
        LedgerWriter(database_url, lanes=1) as writer,
    ):
        yield Poster(PaymentContext(database, writer, gateways), asked.gateway).post


@contextlib.contextmanager
def _reports(asked: Asked, output: Output) -> Generator[list[Report]]:
    """Open what is to be written; of a comparison that breaks off, no CSV is left."""
    head = {
        "gateway": asked.gateway,
        "since": asked.window.since,
        "until": asked.window.until,
        "applied": asked.apply,
    }
    with contextlib.ExitStack() as stack:
        reports: list[Report] = []
        if asked.csv_file is not None:
            csv_report = _opened_csv(asked.csv_file)
            stack.callback(csv_report.abandon)
            reports.append(csv_report)
        reports.append(JsonReport(head) if output.json else TableReport())
        yield reports


def _opened_csv(path: Path) -> CsvReport:
    try:
        return CsvReport(path)
    except OSError as error:
        raise click.UsageError(f"--csv: {error.strerror}: {path}") from None


def _progress(output: Output) -> Progress:
    """Show how far it is, on standard error, where a person looks at it."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console, transient=True, disable=output.json or not console.is_terminal)


def _by_name(counts: Counter[Kind]) -> dict[str, int]:
    return {kind.value: counts[kind] for kind in Kind}
