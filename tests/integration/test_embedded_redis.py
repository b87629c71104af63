"""The embedded Redis: durable across restarts, never a reason not to start."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops.reach import redis_facts
from ops.services.redis import EmbeddedRedis
from tests.stream_clients import redis_client as connected


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with EmbeddedRedis(tmp_path) as started:
        yield started


def put_aside(data_dir: Path) -> set[str]:
    return {path.name for path in data_dir.glob("redis.unreadable-*/*")}


async def test_what_was_written_survives_a_clean_restart(
    embedded: EmbeddedRedis,
) -> None:
    async with connected(embedded.url) as client:
        await client.set("kept", "yes")

    await embedded.restart()

    async with connected(embedded.url) as client:
        assert await client.get("kept") == b"yes"


async def test_it_answers_at_the_same_address_after_a_kill(
    embedded: EmbeddedRedis,
) -> None:
    url = embedded.url

    await embedded.restart("kill")

    assert embedded.url == url
    async with connected(url) as client:
        assert await client.set("answers", "yes")


async def test_numbered_databases_are_apart(embedded: EmbeddedRedis) -> None:
    async with connected(embedded.url_for(1)) as client:
        await client.set("only here", "1")

    async with connected(embedded.url_for(2)) as client:
        assert await client.get("only here") is None


async def test_it_keeps_an_append_only_file_and_never_evicts(
    embedded: EmbeddedRedis,
) -> None:
    facts = await redis_facts(embedded.url)

    assert facts["aof_enabled"] == 1
    assert facts["maxmemory_policy"] == "noeviction"


async def test_a_server_left_running_by_a_killed_instance_is_replaced(
    tmp_path: Path,
) -> None:
    abandoned = EmbeddedRedis(tmp_path)
    await abandoned.start()

    async with EmbeddedRedis(tmp_path):
        assert not abandoned.running


async def test_data_it_cannot_read_is_put_aside_and_it_starts_empty(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir(parents=True)
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"REDIS9999 from the future")
    (tmp_path / "redis" / "dump.rdb").write_bytes(b"REDIS9999 from the future")

    async with (
        EmbeddedRedis(tmp_path) as embedded,
        connected(embedded.url) as client,
    ):
        assert await client.get("anything") is None

    assert {"appendonly.aof", "dump.rdb"} <= put_aside(tmp_path)
