"""`holdfast audit export|rollforward|close|periods|policy`: what finance takes away, and what it decides."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from ops.command import data_dir_option, json_option, run
from ops.endpoints import reached_database
from ops.errors import CheckFailed
from ops.instance import DataDirectory
from ops.opened_ledger import ACTOR
from ops.output import Output
from ops.reading import opened_database
from projections.closing import (
    CannotClose,
    ClosedPeriod,
    ReportRollforward,
    changed_periods,
    close_period,
    read_periods,
    rollforward_report,
)
from projections.exports.extent import NothingToExport
from projections.exports.files import ExportExists
from projections.journal import JOURNAL
from projections.journal_policy import Policy, read_policies, set_policy
from projections.money import UnreadablePayment
from projections.rollforward import read_lot_ties, read_rollforwards
from projections.runner import active_build, built_seq

FORMATS: Final = ("csv", "parquet", "hledger", "beancount")

_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])


@click.command("export")
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A directory of its own.")
@data_dir_option
@json_option
def export_command(format_name: str, out: Path, data_dir: Path, as_json: bool) -> None:
    """Write the log and the journal as files, with a manifest of their hashes."""
    # Here, so that no other command waits for DuckDB to load.
    from projections.exports.run import export  # noqa: PLC0415

    async def work(output: Output) -> None:
        try:
            async with reached_database(DataDirectory(data_dir)) as endpoints:
                manifest = await export(endpoints.database_url, format_name=format_name, directory=out)
        except (ExportExists, NothingToExport) as error:
            raise CheckFailed(str(error)) from None
        lines = [f"{file.sha256}  {file.name}  {file.rows} rows" for file in manifest.files]
        output.result(manifest, *lines, f"{manifest.seq} events, root {manifest.root}")

    run(work, as_json=as_json)


@click.command()
@click.option("--from", "first", type=_DAY, help="The first day; without it, from the beginning.")
@click.option("--through", type=_DAY, help="The last day; without it, up to the end.")
@data_dir_option
@json_option
def rollforward(first: datetime | None, through: datetime | None, data_dir: Path, as_json: bool) -> None:
    """Lead from the opening balance to the closing one, in credits and in every currency. Exit 1 if lots disagree."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            build = await active_build(connection, JOURNAL.name)
            seq = await built_seq(connection, JOURNAL.name, build)
            found = await read_rollforwards(
                connection,
                build=build,
                seq=seq,
                first=None if first is None else first.date(),
                through=date.max if through is None else through.date(),
            )
            ties = await read_lot_ties(connection, build=build, seq=seq)
        shown = [rollforward_report(rolled) for rolled in found]
        tied = f"{ties.lots} lots {'tie to it' if ties.hold else 'DISAGREE'}"
        output.result({"seq": seq, "rollforward": shown, "lots": ties}, *_rolled_lines(shown), tied)
        if not (ties.hold and all(rolled.holds for rolled in found)):
            raise CheckFailed("the lots are not what the journal says they are")

    run(work, as_json=as_json)


@click.command()
@click.option("--through", type=_DAY, required=True, help="The last day of the period.")
@data_dir_option
@json_option
def close(through: datetime, data_dir: Path, as_json: bool) -> None:
    """Close everything up to and on a day. What comes later is booked after it; this cannot be undone."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database:
            try:
                period = await close_period(database, through=through.date(), actor=ACTOR)
            except CannotClose as error:
                raise CheckFailed(str(error)) from None
        shown = _period(period)
        output.result({**shown, "report": msgspec.Raw(period.report)}, _period_line(shown))

    run(work, as_json=as_json)


@click.command()
@data_dir_option
@json_option
def periods(data_dir: Path, as_json: bool) -> None:
    """List the closed periods and make their reports again from the journal. Exit 1 if one came out differently."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            found = await read_periods(connection)
            changed = await changed_periods(connection)
        items = [{**_period(period), "is_unchanged": period.through not in changed} for period in found]
        lines = [_period_line(item) + ("" if item["is_unchanged"] else "  CHANGED") for item in items]
        output.result({"items": items}, *(lines or ["no period is closed"]))
        if changed:
            raise CheckFailed(f"{len(changed)} reports came out differently")

    run(work, as_json=as_json)


@click.command()
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@data_dir_option
@json_option
def policy(settings: tuple[str, ...], data_dir: Path, as_json: bool) -> None:
    """Print the policies of the journal, or set switches for the events that come from now on."""
    given = dict(_setting(setting) for setting in settings)

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            policies = await read_policies(connection)
            if given:
                await set_policy(connection, _changed(policies.at(2**63 - 1), given), actor=ACTOR)
                policies = await read_policies(connection)
        now = msgspec.structs.asdict(policies.at(2**63 - 1))
        lines = [f"{name}={value}" for name, value in now.items()]
        output.result({"now": now, "all": policies.all}, *lines)

    run(work, as_json=as_json)


def _setting(setting: str) -> tuple[str, str]:
    name, separator, value = setting.partition("=")
    if not separator:
        raise click.UsageError(f"{setting!r} is not NAME=VALUE")
    return name, value


def _changed(before: Policy, given: dict[str, str]) -> Policy:
    try:
        return msgspec.convert({**msgspec.structs.asdict(before), **given}, Policy)
    except (msgspec.ValidationError, UnreadablePayment) as error:
        raise click.UsageError(str(error)) from None


def _period(period: ClosedPeriod) -> dict[str, Any]:
    return {
        "through": period.through,
        "seq": period.seq,
        "root": None if period.root is None else period.root.hex(),
        "report_sha256": period.report_sha256.hex(),
        "closed_at": period.closed_at,
        "actor": period.actor,
    }


def _period_line(shown: dict[str, Any]) -> str:
    return f"closed through {shown['through']} as of event {shown['seq']}, report {shown['report_sha256']}"


def _rolled_lines(shown: list[ReportRollforward]) -> list[str]:
    lines: list[str] = []
    for rolled in shown:
        lines += [rolled.commodity, f"  {'opening':<14} {rolled.opening:>28}"]
        lines += [f"  {name:<14} {amount:>28}" for name, amount in rolled.movements.items()]
        lines += [f"  {'closing':<14} {rolled.closing:>28}"]
    return lines
