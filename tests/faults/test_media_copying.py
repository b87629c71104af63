"""Copying a large result in a process of its own: how much memory it takes, and what is left where it is killed."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from uuid_utils.compat import uuid7

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.s3_server import Bucket, s3_server
from tests.fakes.scripted_server import Answer, Call, Hold, ScriptedServer
from tests.media_files import mp4
from tests.media_process import KEY
from tests.media_stores import (
    BUCKET,
    CREDENTIALS,
    bucket_environment,
    local_environment,
    open_account,
    opened,
    result,
    rows_of,
)
from tests.waiting import eventually
from workers.media.bucket import PART_BYTES
from workers.media.fetching import Fetcher
from workers.media.results import ResultKeeper
from workers.tiers import Tier

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024
FILM_MEBIBYTES = 200
ALLOWED_BYTES = 64 * MEBIBYTE
WITHIN_S = 90


class Films(ScriptedServer):
    """Serves a film of `FILM_MEBIBYTES`, a mebibyte at a time, so that it is nowhere as a whole."""

    def default(self, call: Call) -> Answer:
        first = mp4(size_bytes=MEBIBYTE)
        return Answer(steps=(first, *[bytes(MEBIBYTE)] * (FILM_MEBIBYTES - 1)))


@pytest.fixture
async def films() -> AsyncIterator[Films]:
    async with Films() as running:
        yield running


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as running:
        running.name = BUCKET
        yield running


class Place(NamedTuple):
    """A store, and whether some of an object has been written there."""

    environment: dict[str, str]
    has_begun: Callable[[], bool]


@pytest.fixture(params=["local", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        unfinished = tmp_path / "media" / ".unfinished"
        return Place(local_environment(tmp_path), lambda: any(path.stat().st_size for path in unfinished.glob("*")))
    bucket: Bucket = request.getfixturevalue("bucket")
    return Place(bucket_environment(bucket.url), lambda: any(upload.parts for upload in list(bucket.uploads.values())))


async def start(environment: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.media_process", *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )


async def test_a_film_of_200_mb_is_copied_with_less_than_64_mb_of_memory(films: Films, place: Place) -> None:
    async with asyncio.timeout(WITHIN_S):
        process = await start(place.environment, f"{films.url}/film.mp4")
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert int(output) < ALLOWED_BYTES, f"{int(output) / MEBIBYTE:.1f} MiB"
    async with opened(place.environment) as media:
        found = await media.store.head(KEY)
    assert found is not None
    assert found.size_bytes == FILM_MEBIBYTES * MEBIBYTE


async def test_a_copy_whose_worker_is_killed_in_the_middle_is_made_by_the_next(
    films: Films, place: Place, database: Database, writer: LedgerWriter, database_url: str
) -> None:
    content = mp4(size_bytes=3 * PART_BYTES)
    half, url, account_id = 2 * PART_BYTES, f"{films.url}/film.mp4", await open_account(writer)
    films.script(Answer(steps=(content[:half], Hold())), Answer(steps=(content,)))
    made = result(url=url, kind="video", media_type="video/mp4")
    generation_id = uuid7()

    async with opened(place.environment) as media, Fetcher(media.settings) as fetcher, asyncio.timeout(WITHIN_S):
        keeper = ResultKeeper(database, media, fetcher)
        found = await keeper.offer(generation_id, account_id, 0, made, tier=Tier.free)
        process = await start({**place.environment, "DATABASE_URL": database_url}, url, str(found.id))
        await eventually(lambda: bool(films.calls), within_s=30)
        await eventually(place.has_begun, within_s=30)
        process.kill()
        await process.wait()
        left = await media.store.head(found.storage_key)

        again = await keeper.offer(generation_id, account_id, 0, made, tier=Tier.free)
        kept = await keeper.keep(again, made, provider="replicate")
        stored = await media.store.head(found.storage_key)

    assert left is None, "half of an object is none"
    assert (again.id, kept.state, kept.sha256) == (found.id, "stored", hashlib.sha256(content).digest())
    assert stored is not None
    assert stored.size_bytes == len(content)
    assert rows_of(database_url, account_id) == [("stored", len(content), None)]
