"""`python -m bench [SUITE ...]`: measure, print a table, write JSON; exit 1 if a bar is missed."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import click
import uvloop

from bench import generations, http, ledger, overhead, payments, peer, projections, sealing, streams
from bench.figures import Figure, publish
from ledger.garbage import collect_rarely

SUITES: Final[dict[str, Callable[[], Coroutine[Any, Any, list[Figure]]]]] = {
    "ledger": ledger.run,
    "http": http.run,
    "generations": generations.run,
    "streams": streams.run,
    "overhead": overhead.run,
    "payments": payments.run,
    "projections": projections.run,
    "sealing": sealing.run,
}

SUITE_LIMIT_S: Final = 900


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice(sorted(SUITES)))
@click.option("--install-peer", is_flag=True, help="Fetch the gateway to compare with, once, into the user's cache.")
def main(suites: tuple[str, ...], *, install_peer: bool) -> None:
    """Measure SUITES, or all."""
    collect_rarely()
    if install_peer and (problem := peer.install()):
        click.echo(problem, err=True)
    figures: list[Figure] = []
    given_up: list[str] = []
    for name in suites or SUITES:
        click.echo(f"measuring {name} ...", err=True)
        try:
            figures += uvloop.run(_limited(SUITES[name]()))
        except TimeoutError:
            click.echo(f"{name} did not end within {SUITE_LIMIT_S} s and was given up", err=True)
            given_up.append(name)
        gc.collect()
    click.echo(f"written to {publish(figures)}", err=True)
    sys.exit(1 if given_up or any(figure.reached is False for figure in figures) else 0)


async def _limited(suite: Coroutine[Any, Any, list[Figure]]) -> list[Figure]:
    async with asyncio.timeout(SUITE_LIMIT_S):
        return await suite


main()
