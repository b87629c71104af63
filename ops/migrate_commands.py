"""`holdfast migrate|release`: bringing the database up to this version of the code."""

from __future__ import annotations

from pathlib import Path

import click

from ops.command import data_dir_option, json_option, run
from ops.endpoints import reached_database
from ops.instance import DataDirectory
from ops.output import Output
from ops.preparing import prepare_database


@click.command()
@data_dir_option
@json_option
def migrate(data_dir: Path, as_json: bool) -> None:
    """Bring the database up to this version. A second run changes nothing."""
    _migrate(data_dir, as_json)


@click.command()
@data_dir_option
@json_option
def release(data_dir: Path, as_json: bool) -> None:
    """Do what has to be done before a new version starts: migrate. For the Procfile."""
    _migrate(data_dir, as_json)


def _migrate(data_dir: Path, as_json: bool) -> None:
    async def work(output: Output) -> None:
        async with reached_database(DataDirectory(data_dir)) as endpoints:
            applied, added = await prepare_database(endpoints)
        lines = [*(f"applied {name}" for name in applied), *(f"added model {name}" for name in added)]
        output.result({"applied": applied, "models_added": added}, *(lines or ["nothing to do"]))

    run(work, as_json=as_json)
