"""`holdfast up`: everything an installation needs, in the foreground, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import msgspec

from ops import demo_account
from ops.command import data_dir_option, json_option, run
from ops.demo_account import DemoAccount
from ops.installation import Installation, free_port
from ops.instance import DataDirectory
from ops.output import Output
from ops.signals import Stopped, StopSignals

LOCK_WAIT_S: Final = 1


class Options(msgspec.Struct, frozen=True):
    """What `holdfast up` was asked for."""

    data_dir: Path
    host: str
    port: int
    workers: int


@click.command("up")
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


async def up(options: Options, output: Output) -> None:
    """Run until told to stop, then stop everything in order and leave no process behind.

    Raises:
        CannotReach: the port or the data directory is taken, or something did not come up.
    """
    signals = StopSignals()
    directory = DataDirectory(options.data_dir)
    async with directory.locked(wait_s=LOCK_WAIT_S):
        port = free_port(options.host, options.port)
        installation = Installation(directory, host=options.host, port=port, workers=options.workers, output=output)
        try:
            await signals.unless_stopped(_run(installation, directory, output))
        except Stopped:
            output.note("stopping; Ctrl-C again stops at once")
        finally:
            try:
                await signals.unless_forced(installation.stop())
            except Stopped:
                await installation.kill()


async def _run(installation: Installation, directory: DataDirectory, output: Output) -> None:
    await installation.start()
    demo = await demo_account.ensure(directory, installation.endpoints, installation.url)
    output.result(
        {"ready": True, "url": installation.url, "demo_key": demo.key, "account_id": demo.account_id},
        f"ready {installation.url}",
        f"  key   {demo.key}",
        f"  try   {_one_line_to_paste(installation.url, demo)}",
    )
    await installation.watch()


def _one_line_to_paste(url: str, demo: DemoAccount) -> str:
    """Compose a shell line that starts a generation and prints its events as they come."""
    body = '{"model":"echo","input":{"prompt":"Every credit is accounted for.","delay_ms":150}}'
    key = f"-H 'Authorization: Bearer {demo.key}'"
    start = f"curl -s {key} -H 'Content-Type: application/json' -d '{body}' {url}/v1/generations"
    path = 'sed -E \'s/.*"events_url":"([^"]+)".*/\\1/\''
    return f"curl -sN {key} {url}$({start} | {path})"
