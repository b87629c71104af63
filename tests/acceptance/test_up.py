"""`holdfast up`, from the first start on an empty directory to a clean end, and through what may befall it between."""

import asyncio
import contextlib
import os
import signal
import stat
from functools import partial
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.running_instance import RunningInstance, running_instance, started_instance
from tests.waiting import eventually


async def generated(instance: RunningInstance, prompt: str) -> str:
    """Run a generation to its end and return its output."""
    async with httpx.AsyncClient(base_url=instance.url, headers=instance.headers, timeout=10) as client:
        started = await client.post("/v1/generations", json={"model": "echo", "input": {"prompt": prompt}})
        assert started.status_code == HTTPStatus.ACCEPTED, started.text
        path = f"/v1/generations/{started.json()['id']}"
        async with client.stream("GET", f"{path}/events") as stream:
            async for _ in stream.aiter_bytes():
                pass
        return (await client.get(path)).json()["output"]


async def available(instance: RunningInstance) -> str:
    async with httpx.AsyncClient(base_url=instance.url, headers=instance.headers, timeout=10) as client:
        return (await client.get("/v1/me/balance")).json()["available"]


async def answers(instance: RunningInstance) -> bool:
    async with httpx.AsyncClient(timeout=2) as client:
        try:
            return (await client.get(f"{instance.url}/health/ready")).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False


async def test_a_first_start_streams_a_generation_and_a_second_start_has_it_all(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as first:
        assert await generated(first, "every credit counts") == "every credit counts"
        left = await available(first)
        assert await first.stop() < 10
        assert first.process.returncode == 0
        assert first.processes() == {}

    async with running_instance(tmp_path / "data") as second:
        assert second.ready["demo_key"] == first.ready["demo_key"]
        assert second.ready["account_id"] == first.ready["account_id"]
        assert await available(second) == left


async def test_what_holds_the_demo_key_is_private(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as instance:
        for name in ("demo.json", "instance.json"):
            assert stat.S_IMODE((instance.data_dir / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(instance.data_dir.stat().st_mode) == 0o700


async def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    slow = {"model": "echo", "input": {"prompt": "one two three four five six seven eight", "delay_ms": 5000}}
    async with (
        running_instance(tmp_path / "data") as instance,
        httpx.AsyncClient(base_url=instance.url, headers=instance.headers, timeout=30) as client,
    ):
        started = (await client.post("/v1/generations", json=slow)).json()
        async with client.stream("GET", f"/v1/generations/{started['id']}/events") as stream:
            received = stream.aiter_lines()
            while not (await anext(received)).startswith("event: start"):
                pass

            took_s = await instance.stop(signal.SIGINT)

        assert took_s < 10
        assert instance.process.returncode == 0
        assert instance.processes() == {}


async def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as instance:
        os.kill(instance.pid_of("workers.main"), signal.SIGSTOP)  # it can not stop by itself now
        instance.process.send_signal(signal.SIGINT)
        await eventually(lambda: "Ctrl-C again" in instance.log.read_text())

        assert await instance.stop(signal.SIGINT) < 3
        assert instance.processes() == {}


async def test_ctrl_c_while_it_is_still_starting_leaves_nothing(tmp_path: Path) -> None:
    async with started_instance(tmp_path / "data") as instance:
        await eventually((instance.data_dir / "postgres" / "postmaster.pid").exists, within_s=60)

        assert await instance.stop(signal.SIGINT) < 10
        assert instance.process.returncode == 0
        assert instance.processes() == {}


async def test_after_everything_was_killed_a_start_recovers(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as killed:
        await generated(killed, "before the crash")
        left = await available(killed)
        for pid in killed.processes():
            # Some end by themselves once who started them is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await killed.process.wait()

    async with running_instance(tmp_path / "data") as recovered:
        assert await available(recovered) == left
        assert await generated(recovered, "after it") == "after it"


async def test_children_end_when_the_command_itself_is_killed(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as instance:
        instance.process.kill()
        await instance.process.wait()

        await eventually(lambda: instance.processes() == {}, within_s=10)


@pytest.mark.parametrize("victim", ["workers.main", "ops web", "workers.clock", "bin/postgres -D", "redis-server"])
async def test_whatever_is_killed_comes_back(tmp_path: Path, victim: str) -> None:
    async with running_instance(tmp_path / "data") as instance:
        before = instance.pid_of(victim)

        os.kill(before, signal.SIGKILL)

        await eventually(lambda: any(victim in line for pid, line in instance.processes().items() if pid != before))
        await eventually(partial(answers, instance), within_s=15)
        assert await asyncio.wait_for(generated(instance, "still here"), 15) == "still here"


async def test_it_runs_as_many_workers_as_asked(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data", "--workers=2") as instance:
        assert len([line for line in instance.processes().values() if "workers.main" in line]) == 2


async def test_the_bootstrap_key_is_an_administrators(tmp_path: Path) -> None:
    key = "bootstrap-" + "k" * 40
    async with running_instance(tmp_path / "data", HOLDFAST_BOOTSTRAP_ADMIN_KEY=key) as instance:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=instance.url, headers=headers, timeout=30) as client:
            made = await client.post("/v1/keys", json={"role": "finance", "name": "auditor"})

        assert made.status_code == HTTPStatus.CREATED


async def test_a_lost_demo_key_is_replaced_and_gives_no_credits_again(tmp_path: Path) -> None:
    async with running_instance(tmp_path / "data") as first:
        left = await available(first)
    (tmp_path / "data" / "demo.json").unlink()

    async with running_instance(tmp_path / "data") as second:
        assert second.ready["demo_key"] != first.ready["demo_key"]
        assert second.ready["account_id"] == first.ready["account_id"]
        assert await available(second) == left
