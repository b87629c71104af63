"""`holdfast demo`: the story is true, against an instance of its own and against one that is up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.running_instance import running_instance
from tests.waiting import eventually

TIMEOUT_S = 90


@asynccontextmanager
async def demo(*words: str, home: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run the command in a temporary directory of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "demo", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**inherited, "TMPDIR": str(home)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the command puts what is temporary."""
    place = tmp_path / "home"
    place.mkdir()
    return place


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def told(*words: str, home: Path) -> tuple[int | None, str, str]:
    async with demo(*words, home=home) as process:
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    return process.returncode, out.decode(), err.decode()


async def test_without_an_instance_it_runs_one_and_leaves_nothing(tmp_path: Path, home: Path) -> None:

    status, out, err = await told("--json", f"--data-dir={tmp_path / 'none'}", home=home)

    assert status == 0, err
    story = msgspec.json.decode(out)
    assert [run["status"] for run in story["generations"]] == ["completed", "cancelled"]
    whole, part = [run["text"] for run in story["generations"]]
    assert whole.startswith(part)
    assert 0 < len(part) < len(whole)
    assert [event["kind"] for event in story["events"]] == ["credits_frozen", "freeze_confirmed"] * 2
    assert is_empty(home)
    assert not (tmp_path / "none").exists()


async def test_against_an_instance_that_is_up_it_uses_its_demo_account(tmp_path: Path, home: Path) -> None:
    async with running_instance(tmp_path / "data") as instance:
        status, out, err = await told(f"--data-dir={instance.data_dir}", home=home)

        assert status == 0, err
        assert instance.url in out
        assert "it adds up" in out


async def test_a_refused_key_is_one_line_and_exit_status_1(tmp_path: Path, home: Path) -> None:
    async with running_instance(tmp_path / "data") as instance:
        status, _, err = await told(f"--url={instance.url}", "--key=hf_wrong", home=home)

    assert status == 1
    assert "401" in err
    assert len(err.strip().splitlines()) == 1


async def test_an_instance_that_does_not_answer_is_exit_status_3(tmp_path: Path, home: Path) -> None:
    status, _, err = await told("--url=http://127.0.0.1:1", "--key=hf_any", home=home)

    assert status == 3
    assert len(err.strip().splitlines()) == 1


async def test_stopping_it_in_the_middle_leaves_nothing(tmp_path: Path, home: Path) -> None:
    async with demo(f"--data-dir={tmp_path / 'none'}", home=home) as process:
        await eventually(lambda: any(home.glob("*/data/postgres/postmaster.pid")), within_s=20)

        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 10)

    assert process.returncode == 130
    assert is_empty(home)
