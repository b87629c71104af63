"""`holdfast demo`: the whole story in the terminal, told over the HTTP API as any client would live it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Final

import click
import httpx
import msgspec

from ledger.amounts import format_credits
from ops import demo_account
from ops.command import data_dir_option, json_option, run
from ops.demo_client import DemoClient, Run
from ops.errors import CannotReach, CheckFailed
from ops.installation import Installation, free_port
from ops.instance import DataDirectory
from ops.output import Output
from ops.signals import StopSignals
from workers.streams.client import BrokenStream

PROMPT: Final = (
    "Credits are frozen before the first word, every word arrives once even when the line is cut, and whatever happens "
    "in between, the ledger can say where each credit went."
)
WORD_DELAY_MS: Final = 90
CUT_AFTER_EVENTS: Final = 10
CANCEL_AFTER_EVENTS: Final = 6
LOOPBACK: Final = "127.0.0.1"


class Address(msgspec.Struct, frozen=True):
    """Where to tell the story, and as whom."""

    url: str
    key: str


@click.command("demo")
@click.option("--url", help="An instance that is up; else the one here, else one for the length of the story.")
@click.option("--key", help="A key of the role user for that instance.")
@data_dir_option
@json_option
def demo_command(url: str | None, key: str | None, data_dir: Path, as_json: bool) -> None:
    """Tell the whole story: balance, stream, cut and resume, cancel, and the events it left."""
    run(lambda output: demo(DataDirectory(data_dir), url=url, key=key, output=output), as_json=as_json)


async def demo(directory: DataDirectory, *, url: str | None, key: str | None, output: Output) -> None:
    """Tell the story against the instance at `url`, or one that is up here, or one that lives as long as the story.

    Raises:
        CannotReach: there is no such instance, or it does not answer.
        CheckFailed: a credit is not accounted for, or the instance refused something.
        Stopped: we were told to; what was started for the story is stopped.
    """
    await StopSignals().unless_stopped(_find_and_tell(directory, url, key, output))


async def _find_and_tell(directory: DataDirectory, url: str | None, key: str | None, output: Output) -> None:
    async with (
        _somewhere(directory, url, key, output) as address,
        DemoClient.opened(address.url, address.key) as client,
    ):
        try:
            await _tell(client, address.url, output)
        except httpx.HTTPError as error:
            raise CannotReach(f"lost {address.url}: {str(error) or type(error).__name__}") from error
        except BrokenStream as error:
            raise CheckFailed(f"the stream broke its promise: {error}") from error


async def _tell(client: DemoClient, url: str, output: Output) -> None:
    before = await client.balance()
    say = output.tell
    say(f"At {url} you have {format_credits(before.available)} credits.")

    say("A generation starts. What it can cost at most is frozen first.")
    completed = await client.start(PROMPT, delay_ms=WORD_DELAY_MS)
    say(f"{format_credits(completed.frozen)} credits are frozen. Its words, as they come:")
    with output.live() as show:
        await client.follow(completed, partial(_show, show), until_events=CUT_AFTER_EVENTS)
    say(f"We cut the line after event {completed.text.cursor}, and come back with it as Last-Event-ID.")
    with output.live() as show:
        await client.follow(completed, partial(_show, show))
    say(f"Nothing lost, nothing twice: SHA-256 {completed.ended('text_sha256')} matches.")
    say(f"It cost {completed.ended('cost')} credits; the rest of the freeze went back.")

    say("Another one starts, and is cancelled on its way.")
    cancelled = await client.start(PROMPT, delay_ms=WORD_DELAY_MS)
    with output.live() as show:
        await client.follow(cancelled, partial(_show, show), until_events=CANCEL_AFTER_EVENTS)
        await client.cancel(cancelled)
        await client.follow(cancelled, partial(_show, show))
    say(f"It ended {cancelled.ended('status')}: what arrived is kept, and cost {cancelled.ended('cost')} credits.")

    after = await client.balance()
    lines = await client.statement(after_version=before.version)
    say("The events it left in the ledger:")
    for line in lines:
        balance = f"available {line.available}, frozen {line.frozen}"
        say(f"  {line.version:>6}  {line.kind:<18} {line.amount:>10}   {balance}")
    spent = completed.cost + cancelled.cost
    if after.available + after.frozen + spent != before.available + before.frozen:
        raise CheckFailed("the balance does not agree with what they cost: was the account used meanwhile?")
    difference = f"{format_credits(before.available)} - {format_credits(spent)}"
    say(f"{difference} = {format_credits(after.available)}: it adds up.")
    output.result(
        {
            "url": url,
            "available_before": format_credits(before.available),
            "available_after": format_credits(after.available),
            "generations": [_summary(completed), _summary(cancelled)],
            "events": lines,
        }
    )


def _show(show: Callable[[str, str], None], run: Run) -> None:
    show(run.text.text, f"{len(run.text.text)} characters, event {run.text.cursor}")


def _summary(run: Run) -> dict[str, object]:
    return {"id": run.id, "status": run.ended("status"), "cost": run.ended("cost"), "text": run.text.text}


@contextlib.asynccontextmanager
async def _somewhere(
    directory: DataDirectory, url: str | None, key: str | None, output: Output
) -> AsyncGenerator[Address]:
    """Find an instance and a key for it, or run one for as long as it is needed."""
    running = directory.running()
    url = url or (running.url if running else None)
    if url is not None:
        kept = demo_account.kept(directory)
        key = key or (kept.key if kept and running and url == running.url else None)
        if key is None:
            raise CannotReach(f"no key for {url}: give one with --key")
        yield Address(url, key)
        return
    output.tell("No instance is up here: one is started for this story.")
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as temporary:
        async with _temporary_instance(DataDirectory(Path(temporary) / "data"), output) as address:
            yield address


@contextlib.asynccontextmanager
async def _temporary_instance(directory: DataDirectory, output: Output) -> AsyncGenerator[Address]:
    async with directory.locked(wait_s=0):
        port = free_port(LOOPBACK, 0)
        installation = Installation(directory, host=LOOPBACK, port=port, workers=1, output=output.without_logs())
        try:
            await installation.start()
            made = await demo_account.ensure(directory, installation.endpoints, installation.url)
            yield Address(installation.url, made.key)
        finally:
            await installation.stop()
