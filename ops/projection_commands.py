"""`holdfast projections`: how far the read models are, and building them anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops.command import data_dir_option, json_option, run
from ops.errors import CheckFailed
from ops.output import Output
from ops.reading import opened_database
from projections.catalogue import PROJECTIONS, projection_named
from projections.checking import check_journal, count_differences
from projections.rebuild import RebuildHalted, RebuildRunning, rebuild
from projections.status import BuildStatus, read_status

NAMES: Final = [projection.name for projection in PROJECTIONS]


@click.group("projections")
def projections() -> None:
    """Look at the read models, check them, and build them anew."""


@projections.command()
@data_dir_option
@json_option
def status(data_dir: Path, as_json: bool) -> None:
    """Print how far every read model is, and what halted it. Exit 1 if one is halted."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            found = await read_status(connection)
        items = [{**msgspec.structs.asdict(build), "state": build.state, "behind": build.behind} for build in found]
        output.result({"items": items}, *(_line(build) for build in found))
        halted = sorted({build.name for build in found if build.state == "halted"})
        if halted:
            raise CheckFailed(f"halted: {', '.join(halted)}")

    run(work, as_json=as_json)


@projections.command("rebuild")
@click.argument("name", type=click.Choice(NAMES))
@data_dir_option
@json_option
def rebuild_command(name: str, data_dir: Path, as_json: bool) -> None:
    """Build a read model anew beside the one that is read, then switch to it."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database:
            with halts_told(), progress_bar(f"rebuilding {name}", output) as progress:
                seq = await rebuild(database, projection_named(name), progress=progress)
        output.result({"name": name, "seq": seq}, f"rebuilt {name} up to event {seq}")

    run(work, as_json=as_json)


@projections.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@data_dir_option
@json_option
def check(names: tuple[str, ...], data_dir: Path, as_json: bool) -> None:
    """Build read models anew, compare them with those that are read, and keep those. Exit 1 if they differ."""

    async def work(output: Output) -> None:
        differences: dict[str, int] = {}
        async with opened_database(data_dir) as database:
            for name in names or NAMES:
                with halts_told(), progress_bar(f"checking {name}", output) as progress:
                    differences[name] = await count_differences(database, projection_named(name), progress=progress)
            async with database.connection() as connection:
                journal = await check_journal(connection)
        ties = f"journal and lots: {'tie' if journal.holds else 'DIFFER'} ({journal.lots} lots)"
        lines = [f"{name}: {count or 'no'} differences" for name, count in differences.items()]
        output.result({"differences": differences, "journal": journal}, *lines, ties)
        if any(differences.values()) or not journal.holds:
            raise CheckFailed("read models are not what the log makes of them")

    run(work, as_json=as_json)


@contextlib.contextmanager
def halts_told() -> Generator[None]:
    """Tell why a build could not be made, in one line."""
    try:
        yield
    except (RebuildHalted, RebuildRunning) as error:
        raise CheckFailed(str(error)) from error


@contextlib.contextmanager
def progress_bar(what: str, output: Output) -> Generator[Callable[[int, int], None]]:
    """Show how far something is, on standard error, where a person looks at it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=output.json or not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _line(build: BuildStatus) -> str:
    line = f"{build.name:<12} {build.state:<9} at {build.seq} of {build.sealed}"
    if build.halted_seq is not None:
        line += f", before event {build.halted_seq}: {build.halt_reason}"
    return line
