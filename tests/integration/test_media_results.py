"""Results are kept once, whoever brings them, however often it is tried."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.s3_server import Bucket, s3_server
from tests.fakes.scripted_server import Answer, Call, Hold, ScriptedServer
from tests.media_files import FILES, png
from tests.media_stores import (
    BUCKET,
    CREDENTIALS,
    bucket_environment,
    content_of,
    local_environment,
    open_account,
    opened,
    put,
    result,
    rows_of,
)
from tests.waiting import eventually
from workers.media import copying
from workers.media.errors import MediaNotFound, TransferNotOffered, UploadMismatch, UploadMissing
from workers.media.failures import MediaLost, MediaUnavailable
from workers.media.fetching import Fetcher
from workers.media.objects import MediaObject, get_media, record_deleted
from workers.media.opening import Media
from workers.media.results import ResultKeeper
from workers.media.uploads import begin_transfer, confirm_transfer
from workers.tiers import Tier

PROVIDER = "replicate"
REPETITIONS = 25


class Keeping:
    """A keeper, and what a test looks at beside it."""

    def __init__(self, database: Database, media: Media, fetcher: Fetcher, account_id: UUID) -> None:
        self.database, self.media, self.account_id = database, media, account_id
        self.keeper = ResultKeeper(database, media, fetcher)

    async def offer(
        self, url: str | None = None, *, generation_id: UUID | None = None, tier: Tier = Tier.free, ordinal: int = 0
    ) -> MediaObject:
        made = result(url=url, content=None if url else png())
        return await self.keeper.offer(generation_id or uuid7(), self.account_id, ordinal, made, tier=tier)

    async def transfer(self, found: MediaObject, content: bytes) -> MediaObject | None:
        """Do as a client does; nothing if a worker was faster."""
        try:
            async with self.database.connection() as connection:
                await begin_transfer(
                    connection, self.media, found.id, account_id=self.account_id, media_type=None,
                    size_bytes=len(content),
                )  # fmt: skip
        except TransferNotOffered:
            return None
        await put(self.media.store, found.storage_key, content)
        return await confirm_transfer(self.database, self.media, found.id, account_id=self.account_id)

    async def read(self, found: MediaObject) -> MediaObject:
        return await get_media(self.database, found.id, account_id=self.account_id)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as running:
        running.name = BUCKET
        yield running


class Files(ScriptedServer):
    """Serves by script and, where there is none, always the same."""

    always = Answer(404)

    def default(self, call: Call) -> Answer:
        return self.always


@pytest.fixture
async def server() -> AsyncIterator[Files]:
    async with Files() as running:
        yield running


@pytest.fixture(params=["local", "bucket"])
async def keeping(
    request: pytest.FixtureRequest, database: Database, writer: LedgerWriter, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Keeping]:  # fmt: skip
    monkeypatch.setattr(copying, "PAUSE_S", 0.001)
    environment = (
        local_environment(tmp_path)
        if request.param == "local"
        else bucket_environment(request.getfixturevalue("bucket").url)
    )
    account_id = await open_account(writer)
    async with opened(environment) as media, Fetcher(media.settings) as fetcher:
        yield Keeping(database, media, fetcher, account_id)


@pytest.fixture
async def local(
    database: Database, writer: LedgerWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Keeping]:
    monkeypatch.setattr(copying, "PAUSE_S", 0.001)
    account_id = await open_account(writer)
    environment = local_environment(tmp_path, HOLDFAST_TRANSFER_GRACE_S="30")
    async with opened(environment) as media, Fetcher(media.settings) as fetcher:
        yield Keeping(database, media, fetcher, account_id)


async def test_a_result_at_a_url_is_kept_and_its_source_forgotten(keeping: Keeping, server: Files) -> None:
    content = png(30, 20, padding=100_000)
    server.script(Answer(steps=(content,)))
    url = f"{server.url}/x"

    found = await keeping.offer(url)
    kept = await keeping.keeper.keep(found, result(url=url), provider=PROVIDER)

    assert (found.state, found.source_url) == ("offered", url)
    assert (kept.state, kept.source_url, kept.size_bytes) == ("stored", None, len(content))
    assert (kept.width, kept.height, kept.sha256) == (30, 20, hashlib.sha256(content).digest())
    assert kept == await keeping.read(found)
    assert await content_of(keeping.media.store, kept.storage_key) == content


async def test_a_result_that_came_with_its_bytes_is_kept_at_once(keeping: Keeping) -> None:
    made = result(FILES["image/webp"], media_type="image/png")

    found = await keeping.offer()
    kept = await keeping.keeper.keep_or_wait(found, made, provider=PROVIDER, grace_s=60)

    assert (kept.state, kept.media_type) == ("stored", "image/webp")


async def test_offering_and_keeping_again_finds_what_was_kept(keeping: Keeping, server: Files) -> None:
    server.script(Answer(steps=(png(),)))
    url, generation_id = f"{server.url}/x", uuid7()

    kept = await keeping.keeper.keep(
        await keeping.offer(url, generation_id=generation_id), result(url=url), provider=PROVIDER
    )
    found = await keeping.offer(f"{server.url}/other", generation_id=generation_id)
    again = await keeping.keeper.keep(found, result(url=f"{server.url}/other"), provider=PROVIDER)

    assert found == again == kept
    assert len(server.calls) == 1


async def test_bytes_that_an_attempt_left_before_it_could_record_them_are_not_copied_again(
    keeping: Keeping, server: Files
) -> None:
    found = await keeping.offer(f"{server.url}/gone")
    await put(keeping.media.store, found.storage_key, png())

    kept = await keeping.keeper.keep(found, result(url=f"{server.url}/gone"), provider=PROVIDER)

    assert (kept.state, kept.sha256) == ("stored", hashlib.sha256(png()).digest())
    assert not server.calls


async def test_bytes_that_are_no_result_are_replaced(keeping: Keeping, server: Files) -> None:
    server.script(Answer(steps=(png(),)))
    found = await keeping.offer(f"{server.url}/x")
    await put(keeping.media.store, found.storage_key, b"<svg/>")

    kept = await keeping.keeper.keep(found, result(url=f"{server.url}/x"), provider=PROVIDER)

    assert kept.state == "stored"
    assert await content_of(keeping.media.store, kept.storage_key) == png()


async def test_an_expired_source_ends_in_a_clear_failure_and_may_be_offered_again(
    keeping: Keeping, server: Files
) -> None:
    server.script(Answer(404), Answer(steps=(png(),)))
    generation_id = uuid7()
    url = f"{server.url}/x"

    with pytest.raises(MediaLost) as lost:
        await keeping.keeper.keep(
            await keeping.offer(url, generation_id=generation_id), result(url=url), provider=PROVIDER
        )
    again = await keeping.keeper.keep(
        await keeping.offer(url, generation_id=generation_id), result(url=url), provider=PROVIDER
    )

    assert (lost.value.code, lost.value.retryable) == ("media_expired", False)
    assert "charged" in lost.value.message
    assert again.state == "stored"


async def test_a_client_and_a_worker_who_race_leave_one_object_and_one_row(
    keeping: Keeping, server: Files, database_url: str
) -> None:
    for number in range(REPETITIONS):
        of_client, of_worker = png(padding=10 * number + 1), png(padding=10 * number + 2)
        url = f"{server.url}/{number}"
        server.always = Answer(steps=(of_worker,))
        found = await keeping.offer(url)

        outcomes = await asyncio.gather(
            keeping.transfer(found, of_client),
            keeping.keeper.keep(found, result(url=url), provider=PROVIDER),
            keeping.transfer(found, of_client),
            keeping.keeper.keep(found, result(url=url), provider=PROVIDER),
        )

        recorded = await keeping.read(found)
        assert recorded.state == "stored"
        assert all(outcome is None or outcome == recorded for outcome in outcomes)
        there = await content_of(keeping.media.store, found.storage_key)
        assert there in {of_client, of_worker}
        assert recorded.size_bytes == len(there)
        assert recorded.sha256 in {None, hashlib.sha256(there).digest()}
    assert len(rows_of(database_url, keeping.account_id)) == REPETITIONS


async def test_many_clients_who_bring_rubbish_never_destroy_what_a_worker_keeps(
    keeping: Keeping, server: Files
) -> None:
    async def rubbish(found: MediaObject) -> None:
        with contextlib.suppress(UploadMismatch, UploadMissing):
            await keeping.transfer(found, b"<svg/>")

    for number in range(REPETITIONS):
        url = f"{server.url}/{number}"
        server.always = Answer(steps=(png(),))
        found = await keeping.offer(url)
        with contextlib.suppress(MediaUnavailable):
            await asyncio.gather(
                rubbish(found), keeping.keeper.keep(found, result(url=url), provider=PROVIDER), rubbish(found)
            )
        await keeping.keeper.keep(found, result(url=url), provider=PROVIDER)

        assert (await keeping.read(found)).state == "stored"
        assert await content_of(keeping.media.store, found.storage_key) == png()


async def test_a_worker_waits_for_a_client_who_transfers(local: Keeping, server: Files) -> None:
    url = f"{server.url}/x"
    found = await local.offer(url)
    waiting = asyncio.create_task(local.keeper.keep_or_wait(found, result(url=url), provider=PROVIDER))

    transferred = await local.transfer(found, png())
    kept = await waiting

    assert kept == transferred
    assert not server.calls


@pytest.mark.parametrize(("grace_s", "url_expires_in_s"), [(0.1, None), (30.0, 0.2), (0.0, 3_600.0)])
async def test_a_worker_copies_when_the_grace_or_half_of_the_sources_life_is_over(
    local: Keeping, server: Files, grace_s: float, url_expires_in_s: float | None
) -> None:
    server.script(Answer(steps=(png(),)))
    url = f"{server.url}/x"
    found = await local.offer(url)

    async with asyncio.timeout(10):
        kept = await local.keeper.keep_or_wait(
            found, result(url=url, url_expires_in_s=url_expires_in_s), provider=PROVIDER, grace_s=grace_s
        )

    assert kept.state == "stored"
    assert len(server.calls) == 1


async def test_a_result_that_its_owner_deletes_while_it_is_copied_leaves_nothing(local: Keeping, server: Files) -> None:
    hold = Hold()
    content = png(padding=200_000)
    server.script(Answer(steps=(content[:100_000], hold, content[100_000:])))
    url = f"{server.url}/x"
    found = await local.offer(url)
    keeping = asyncio.create_task(local.keeper.keep(found, result(url=url), provider=PROVIDER))
    await eventually(lambda: len(server.calls) == 1)

    async with local.database.connection() as connection:
        await record_deleted(connection, found)
    hold.release()
    kept = await keeping

    assert kept.state == "deleted"
    assert await local.media.store.head(found.storage_key) is None
    assert (await local.offer(url, generation_id=found.generation_id)).state == "deleted"
    with pytest.raises(MediaNotFound):
        await confirm_transfer(local.database, local.media, found.id, account_id=local.account_id)


async def test_results_of_one_generation_have_a_row_each(local: Keeping, database_url: str) -> None:
    generation_id = uuid7()

    offers = await asyncio.gather(
        *(local.offer(generation_id=generation_id, ordinal=ordinal % 3) for ordinal in range(12))
    )

    assert len({offer.id for offer in offers}) == 3
    assert len(rows_of(database_url, local.account_id)) == 3


async def test_results_of_the_paid_tier_never_expire(local: Keeping) -> None:
    free, paid = await local.offer(), await local.offer(tier=Tier.paid)

    assert free.expires_at_us is not None
    assert paid.expires_at_us is None


async def test_a_store_that_is_away_ends_in_a_failure_that_costs_nothing(local: Keeping, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file in place of the folder")
    found = await local.offer()

    with pytest.raises(MediaUnavailable) as failed:
        await local.keeper.keep(found, result(png()), provider=PROVIDER)

    assert failed.value.code == "media_unavailable"


async def test_the_database_holds_the_promises_too(local: Keeping, database_url: str) -> None:
    found = await local.offer("https://replicate.delivery/x")
    again = (
        "INSERT INTO media_objects (id, account_id, generation_id, purpose, kind, media_type, state, storage_key)"
        " SELECT gen_random_uuid(), account_id, generation_id, purpose, kind, media_type, 'offered', 'x'"
        " FROM media_objects"
    )
    changes = (
        "state = 'stored', source_url = NULL",
        "state = 'failed', purge_at = now()",
        "state = 'deleted', source_url = NULL",
        "state = 'lost'",
        "sha256 = 'x'",
        "generation_id = NULL",
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for broken in (again, *(f"UPDATE media_objects SET {change}" for change in changes)):
            with pytest.raises(psycopg.IntegrityError):
                connection.execute(broken)  # pyright: ignore[reportArgumentType, reportCallIssue]

    assert await local.read(found) == found
