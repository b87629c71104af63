"""The `holdfast` command."""

from __future__ import annotations

from pathlib import Path

import click

from ops import programs
from ops.account_commands import accounts
from ops.audit_group import audit
from ops.command import data_dir_option, json_option, run
from ops.demo import demo
from ops.doctor import doctor
from ops.endpoints import reached_database
from ops.finance_commands import FINANCE_COMMANDS
from ops.instance import DataDirectory
from ops.key_commands import keys
from ops.output import Output
from ops.payment_commands import payments
from ops.payment_refunds import refund_command
from ops.preparing import prepare_database
from ops.projection_commands import projections
from ops.proof_commands import PROOF_COMMANDS
from ops.reconcile_commands import reconcile
from ops.up import Options, up
from workers.settings import Settings, SettingsError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="holdfast")
def main() -> None:
    """Holdfast: a credit ledger and generation backend.

    Exit status: 0 fine, 1 a check failed or the ledger refused, 2 usage, 3 cannot reach what it needs.
    """


@main.command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes any that is free."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@data_dir_option
@json_option
def up_command(host: str, port: int, workers: int, data_dir: Path, as_json: bool) -> None:
    """Run everything, embedded servers included where no URL is set, until Ctrl-C."""
    options = Options(data_dir=data_dir, host=host, port=port, workers=workers)
    run(lambda output: up(options, output), as_json=as_json)


def _migrate(data_dir: Path, as_json: bool) -> None:
    async def work(output: Output) -> None:
        async with reached_database(DataDirectory(data_dir)) as endpoints:
            applied, added = await prepare_database(endpoints)
        lines = [*(f"applied {name}" for name in applied), *(f"added model {name}" for name in added)]
        output.result({"applied": applied, "models_added": added}, *(lines or ["nothing to do"]))

    run(work, as_json=as_json)


@main.command()
@data_dir_option
@json_option
def migrate(data_dir: Path, as_json: bool) -> None:
    """Bring the database up to this version. A second run changes nothing."""
    _migrate(data_dir, as_json)


@main.command()
@data_dir_option
@json_option
def release(data_dir: Path, as_json: bool) -> None:
    """Do what has to be done before a new version starts: migrate. For the Procfile."""
    _migrate(data_dir, as_json)


@main.command("doctor")
@data_dir_option
@json_option
def doctor_command(data_dir: Path, as_json: bool) -> None:
    """Say what is wrong with this installation, and how to mend it."""
    run(lambda output: doctor(DataDirectory(data_dir), output), as_json=as_json)


@main.command("demo")
@click.option("--url", help="An instance that is up; else the one here, else one for the length of the story.")
@click.option("--key", help="A key of the role user for that instance.")
@data_dir_option
@json_option
def demo_command(url: str | None, key: str | None, data_dir: Path, as_json: bool) -> None:
    """Tell the whole story: balance, stream, cut and resume, cancel, and the events it left."""
    run(lambda output: demo(DataDirectory(data_dir), url=url, key=key, output=output), as_json=as_json)


@main.command()
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


@main.command()
@click.option("--threads", type=click.IntRange(1), help="How many generations run at once.")
def worker(threads: int | None) -> None:
    """Run one worker process alone, on the servers the environment names."""
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    programs.become(programs.worker(threads=threads or settings.worker_threads))


@main.command()
def clock() -> None:
    """Run the clock alone; of several, one leads and the others stand by."""
    programs.become(programs.clock())


main.add_command(accounts)
main.add_command(keys)
main.add_command(projections)
main.add_command(audit)
main.add_command(reconcile)
main.add_command(payments)
payments.add_command(refund_command)
for command in (*PROOF_COMMANDS, *FINANCE_COMMANDS):
    audit.add_command(command)
