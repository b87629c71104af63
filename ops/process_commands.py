"""`holdfast web|worker|clock`: one process alone, for whoever has a supervisor of their own."""

from __future__ import annotations

import click

from ops import programs
from workers.settings import Settings, SettingsError


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, envvar="PORT")
def web(host: str, port: int) -> None:
    """Run the API alone, on the servers the environment names."""
    # Here, so that no other command waits for the whole API to load.
    from api.server import serve  # noqa: PLC0415

    try:
        serve(host=host, port=port)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


@click.command()
@click.option("--threads", type=click.IntRange(1), help="How many generations run at once.")
def worker(threads: int | None) -> None:
    """Run one worker process alone, on the servers the environment names."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    programs.become(programs.worker(threads=threads or settings.worker_threads))


@click.command()
def clock() -> None:
    """Run the clock alone; of several, one leads and the others stand by."""
    programs.become(programs.clock())
