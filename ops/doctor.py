"""`holdfast doctor`: says what is wrong with an installation, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
import httpx

from ops.checks.finding import Finding, State, judge, unreachable
from ops.checks.machine import check_machine
from ops.checks.payments import check_gateways, check_payments
from ops.checks.postgres import check_postgres
from ops.checks.redis import check_redis
from ops.checks.signing import check_signing
from ops.command import data_dir_option, json_option, run
from ops.endpoints import reached_database
from ops.errors import CannotReach, CheckFailed
from ops.instance import DataDirectory
from ops.output import Output

ANSWER_TIMEOUT_S: Final = 5
MARKS: Final = {State.fine: "ok  ", State.wrong: "BAD ", State.unreachable: "?   "}


@click.command("doctor")
@data_dir_option
@json_option
def doctor_command(data_dir: Path, as_json: bool) -> None:
    """Say what is wrong with this installation, and how to mend it."""
    run(lambda output: doctor(DataDirectory(data_dir), output), as_json=as_json)


async def doctor(directory: DataDirectory, output: Output) -> None:
    """Look at everything, print every finding, and fail if one of them is not fine.

    Raises:
        CheckFailed: something is wrong.
        CannotReach: something could not be looked at.
    """
    findings = [finding async for finding in _look(directory)]
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]}{finding.name:<20} {finding.found}")
        if finding.mend:
            lines.append(f"    {'':<20} → {finding.mend}")
    output.result({"fine": all(one.state is State.fine for one in findings), "findings": findings}, *lines)
    if missing := [one.name for one in findings if one.state is State.unreachable]:
        raise CannotReach(f"cannot reach: {', '.join(missing)}")
    if wrong := [one.name for one in findings if one.state is State.wrong]:
        raise CheckFailed(f"not as it should be: {', '.join(wrong)}")


async def _look(directory: DataDirectory) -> AsyncIterator[Finding]:
    for finding in check_machine(directory.path, os.environ):
        yield finding
    for finding in check_signing(directory.path, os.environ):
        yield finding
    async for finding in check_gateways(os.environ):
        yield finding
    try:
        async with reached_database(directory) as endpoints:
            async for finding in check_postgres(endpoints):
                yield finding
            async for finding in check_payments(endpoints):
                yield finding
    except CannotReach as error:
        yield unreachable("postgres", error)
    running = directory.running()
    redis_url = os.environ.get("REDIS_URL") or (running.redis_url if running else "")
    if redis_url:
        async for finding in check_redis(redis_url):
            yield finding
    if running:
        yield await _api(running.url)


async def _api(url: str) -> Finding:
    try:
        async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, trust_env=False) as client:
            answer = await client.get(f"{url}/health/ready")
    except httpx.HTTPError as error:
        return unreachable("api", error)
    return judge(
        "api",
        fine=answer.status_code == HTTPStatus.OK,
        found=f"{url}/health/ready answers {answer.status_code}",
        mend=f"look at its answer ({url}/health/ready) and at the log of `holdfast up`",
    )
