"""The server against its own OpenAPI document: no 5xx, and no answer that is not in the document."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import ADMIN_KEY
from tests.running_instance import RunningInstance, running_instance

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
COMMAND = Path(sys.executable).with_name("schemathesis")
ROOT = Path(__file__).parents[2]
HOOKS = "tests.acceptance.schemathesis_hooks"
WITHIN_S = 300
"""Beside others it has taken more than two minutes; what it finds does not depend on how long it takes."""


async def _run(instance: RunningInstance, directory: Path, authorization: str, *options: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, f"--config-file={CONFIGURATION}", "run"),
        f"{instance.url}/schema/openapi.json",
        f"--header=Authorization: {authorization}",
        *("--checks=all", "--max-examples=15", "--request-timeout=10", "--seed=1", "--no-color", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        output = await process.stdout.read()
        return await process.wait(), output.decode()


@pytest.mark.timeout(2 * WITHIN_S)
async def test_an_administrator_gets_no_answer_that_is_not_documented(tmp_path: Path) -> None:
    # An administrator changes models and prices for everyone, so this one has an instance of their own.
    async with running_instance(tmp_path / "data", HOLDFAST_BOOTSTRAP_ADMIN_KEY=ADMIN_KEY) as instance:
        status, output = await _run(instance, tmp_path, f"Bearer {ADMIN_KEY}")

    assert status == 0, output
    assert " passed" in output


@pytest.mark.timeout(2 * WITHIN_S)
@pytest.mark.parametrize("prefix", ["/v1/me", "/v1/generations", "/v1/models", "/v1/sessions", "/v1/templates"])
async def test_a_user_gets_no_answer_that_is_not_documented(
    instance: RunningInstance, user: httpx.AsyncClient, prefix: str, tmp_path: Path
) -> None:
    endless = "/v1/me/balance/events$"
    status, output = await _run(
        instance,
        tmp_path,
        user.headers["Authorization"],
        f"--include-path-regex=^{prefix}",
        f"--exclude-path-regex={endless}",
    )

    assert status == 0, output
    assert " passed" in output
