"""Media that expired or were given up are deleted, row first, then bytes; and inputs are what is stored."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.generations import account_with, asks_for, generation_context
from tests.media_files import mp4, png
from tests.media_stores import content_of, local_environment, open_account, opened, put, result
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.media import sweeping
from workers.media.deleting import delete_media
from workers.media.errors import MediaError, MediaNotFound, MediaNotStored, MediaTooLarge, StoreUnavailable
from workers.media.fetching import Fetcher
from workers.media.inputs import INLINE_LIMIT_BYTES, check_inputs, resolve_inputs
from workers.media.objects import MediaObject, get_media
from workers.media.opening import Media
from workers.media.results import ResultKeeper
from workers.media.sweeping import forget_unfinished, sweep_media
from workers.media.unset import UnsetStore
from workers.media.uploads import begin_upload, complete_upload
from workers.tiers import Tier


class Shelf:
    """Media of one account."""

    def __init__(self, database: Database, media: Media, account_id: UUID) -> None:
        self.database, self.media, self.account_id = database, media, account_id

    async def begun(self, content: bytes, media_type: str = "image/png") -> MediaObject:
        async with self.database.connection() as connection:
            found, _ = await begin_upload(
                connection,
                self.media,
                account_id=self.account_id,
                media_type=media_type,
                size_bytes=len(content),
                sha256=None,
                tier=Tier.free,
            )
        return found

    async def stored(self, content: bytes | None = None, media_type: str = "image/png") -> MediaObject:
        content = png() if content is None else content
        found = await self.begun(content, media_type)
        await put(self.media.store, found.storage_key, content)
        return await complete_upload(self.database, self.media, found.id, account_id=self.account_id)

    async def offered(self, *, generation_id: UUID | None = None, account_id: UUID | None = None) -> MediaObject:
        async with Fetcher(self.media.settings) as fetcher:
            keeper = ResultKeeper(self.database, self.media, fetcher)
            made = result(url="https://replicate.delivery/x")
            owner = account_id or self.account_id
            return await keeper.offer(generation_id or uuid7(), owner, 0, made, tier=Tier.free)

    async def read(self, found: MediaObject) -> MediaObject:
        return await get_media(self.database, found.id, account_id=None)

    async def has_bytes(self, found: MediaObject) -> bool:
        return await self.media.store.head(found.storage_key) is not None

    def set(self, assignment: str) -> None:
        """Change all rows, as time would."""
        with psycopg.connect(self.database.url) as connection:
            connection.execute(f"UPDATE media_objects SET {assignment}")  # pyright: ignore[reportArgumentType, reportCallIssue]

    def unpurged(self) -> int:
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM media_objects WHERE purge_at IS NOT NULL AND purged_at IS NULL"
            ).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
async def shelf(database: Database, writer: LedgerWriter, tmp_path: Path) -> AsyncIterator[Shelf]:
    account_id = await open_account(writer)
    async with opened(local_environment(tmp_path)) as media:
        yield Shelf(database, media, account_id)


async def test_nothing_is_swept_before_its_time(shelf: Shelf) -> None:
    stored, begun, offered = await shelf.stored(), await shelf.begun(png()), await shelf.offered()

    assert await sweep_media(shelf.database, shelf.media.store) == 0

    assert [(await shelf.read(found)).state for found in (stored, begun, offered)] == [
        "stored", "awaiting_upload", "offered",
    ]  # fmt: skip
    assert await shelf.has_bytes(stored)


async def test_what_expired_is_deleted_with_its_bytes(shelf: Shelf) -> None:
    found = await shelf.stored()
    shelf.set("expires_at = now(), put_until = now() - interval '2 hours'")

    assert await sweep_media(shelf.database, shelf.media.store) == 1

    assert (await shelf.read(found)).state == "deleted"
    assert not await shelf.has_bytes(found)
    assert shelf.unpurged() == 0
    assert await sweep_media(shelf.database, shelf.media.store) == 0


async def test_what_never_expires_is_kept(shelf: Shelf) -> None:
    found = await shelf.stored()
    shelf.set("expires_at = NULL")

    await sweep_media(shelf.database, shelf.media.store)

    assert await shelf.has_bytes(found)


async def test_an_upload_that_nobody_confirmed_is_given_up_after_an_hour_and_its_bytes_an_hour_later(
    shelf: Shelf,
) -> None:
    found = await shelf.begun(png())
    shelf.set("created_at = now() - interval '1 hour', put_until = now()")

    assert await sweep_media(shelf.database, shelf.media.store) == 1
    await put(shelf.media.store, found.storage_key, png())  # it was on its way
    await sweep_media(shelf.database, shelf.media.store)
    late = await shelf.has_bytes(found)
    shelf.set("purge_at = now()")
    await sweep_media(shelf.database, shelf.media.store)

    assert (await shelf.read(found)).state == "failed"
    assert late
    assert not await shelf.has_bytes(found)
    with pytest.raises(MediaNotStored):
        await complete_upload(shelf.database, shelf.media, found.id, account_id=shelf.account_id)


async def test_a_result_that_no_worker_came_back_for_is_given_up_after_a_day(shelf: Shelf) -> None:
    found = await shelf.offered()
    shelf.set("created_at = now() - interval '23 hours'")
    assert await sweep_media(shelf.database, shelf.media.store) == 0
    shelf.set("created_at = now() - interval '1 day'")

    assert await sweep_media(shelf.database, shelf.media.store) == 1

    given_up = await shelf.read(found)
    assert (given_up.state, given_up.source_url) == ("failed", None)


async def test_a_result_is_given_up_when_its_generation_has_ended_without_it(
    shelf: Shelf, database_url: str, redis_url: str
) -> None:
    async with generation_context(database_url, redis_url) as context:
        account_id = await account_with(context)
        admitted = await admit(context, account_id, asks_for(), request_id="r")
        found = await shelf.offered(generation_id=admitted.generation.id, account_id=account_id)
        before = await sweep_media(shelf.database, shelf.media.store)
        await cancel_generation(context, admitted.generation.id, account_id=account_id)

        after = await sweep_media(shelf.database, shelf.media.store)

    assert (before, after) == (0, 1)
    assert (await shelf.read(found)).state == "failed"


async def test_what_was_given_up_and_is_offered_again_is_not_deleted(shelf: Shelf) -> None:
    generation_id = uuid7()
    found = await shelf.offered(generation_id=generation_id)
    shelf.set("created_at = now() - interval '1 day'")
    await sweep_media(shelf.database, shelf.media.store)
    shelf.set("purge_at = now(), created_at = now()")

    again = await shelf.offered(generation_id=generation_id)
    await put(shelf.media.store, again.storage_key, png())
    await sweep_media(shelf.database, shelf.media.store)

    assert (again.id, again.state) == (found.id, "offered")
    assert await shelf.has_bytes(again)


async def test_bytes_are_deleted_later_where_the_store_is_away(shelf: Shelf) -> None:
    class Away(UnsetStore):
        async def delete(self, key: str) -> None:
            raise StoreUnavailable("away")

    found = await shelf.stored()
    await delete_media(shelf.database, Away(), found.id, account_id=shelf.account_id)
    shelf.set("purge_at = now()")

    await sweep_media(shelf.database, Away())
    left = shelf.unpurged()
    await sweep_media(shelf.database, shelf.media.store)

    assert (await shelf.read(found)).state == "deleted"
    assert (left, shelf.unpurged()) == (1, 0)
    assert not await shelf.has_bytes(found)
    assert await forget_unfinished(shelf.media.store) == 0


async def test_a_sweep_does_a_bounded_amount(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 2)
    for _ in range(5):
        await shelf.stored()
    shelf.set("expires_at = now(), put_until = now() - interval '2 hours'")

    swept = [await sweep_media(shelf.database, shelf.media.store) for _ in range(4)]

    assert swept == [2, 2, 1, 0]


async def test_what_failed_cannot_be_deleted_and_what_is_another_accounts_neither(shelf: Shelf) -> None:
    found = await shelf.begun(png())
    with pytest.raises(MediaNotFound):
        await delete_media(shelf.database, shelf.media.store, found.id, account_id=uuid4())
    shelf.set("created_at = now() - interval '1 hour'")
    await sweep_media(shelf.database, shelf.media.store)

    with pytest.raises(MediaNotFound):
        await delete_media(shelf.database, shelf.media.store, found.id, account_id=shelf.account_id)


async def test_inputs_come_with_their_content_where_nobody_can_reach_our_store(shelf: Shelf) -> None:
    picture, film = await shelf.stored(png(30, 20)), await shelf.stored(mp4(), "video/mp4")
    ids = [str(picture.id), str(film.id), str(picture.id)]

    checked = await check_inputs(shelf.database, shelf.media, ids, account_id=shelf.account_id)
    resolved = await resolve_inputs(shelf.database, shelf.media, ids, account_id=shelf.account_id)

    assert set(checked) == set(resolved) == set(ids)
    assert (checked[ids[0]].width, checked[ids[1]].duration_ms) == (30, 1_500)
    assert all(file.content is None and file.url is None for file in checked.values())
    assert resolved[ids[0]].content == png(30, 20)
    assert resolved[ids[0]].url is None
    assert await check_inputs(shelf.database, shelf.media, [], account_id=shelf.account_id) == {}


async def test_inputs_come_with_a_url_where_providers_can_reach_our_store(
    database: Database, writer: LedgerWriter, tmp_path: Path
) -> None:
    account_id = await open_account(writer)
    async with opened(local_environment(tmp_path, HOLDFAST_PUBLIC_URL="https://api.example")) as media:
        found = await Shelf(database, media, account_id).stored()
        resolved = await resolve_inputs(database, media, [str(found.id)], account_id=account_id)

    file = resolved[str(found.id)]
    assert file.url is not None
    assert file.url.startswith(f"https://api.example/media/{account_id}/")
    assert file.content is None


@pytest.mark.parametrize("check", [check_inputs, resolve_inputs])
async def test_inputs_that_are_missing_unconfirmed_deleted_or_another_accounts_are_refused(
    shelf: Shelf, check: Callable[..., Awaitable[object]]
) -> None:
    stored, begun, deleted = await shelf.stored(), await shelf.begun(png()), await shelf.stored()
    await delete_media(shelf.database, shelf.media.store, deleted.id, account_id=shelf.account_id)

    async def code(media_id: object, account_id: UUID = shelf.account_id) -> str:
        with pytest.raises(MediaError) as refused:
            await check(shelf.database, shelf.media, [str(stored.id), str(media_id)], account_id=account_id)
        return refused.value.code

    assert await code(uuid4()) == "media_not_found"
    assert await code("../../etc/passwd") == "media_not_found"
    assert await code(deleted.id) == "media_not_found"
    assert await code(stored.id, uuid4()) == "media_not_found"
    assert await code(begun.id) == "media_not_stored"


async def test_inputs_whose_bytes_are_gone_are_refused(shelf: Shelf) -> None:
    found = await shelf.stored()
    await shelf.media.store.delete(found.storage_key)

    with pytest.raises(MediaNotStored):
        await resolve_inputs(shelf.database, shelf.media, [str(found.id)], account_id=shelf.account_id)


async def test_inputs_that_are_too_large_to_take_along_are_refused_before_they_are_read(shelf: Shelf) -> None:
    largest = await shelf.stored(mp4(size_bytes=INLINE_LIMIT_BYTES - len(png())), "video/mp4")
    small, one_too_many = await shelf.stored(), await shelf.stored(png(padding=1))

    fits = await check_inputs(
        shelf.database, shelf.media, [str(largest.id), str(small.id)], account_id=shelf.account_id
    )
    with pytest.raises(MediaTooLarge) as refused:
        await check_inputs(
            shelf.database, shelf.media, [str(largest.id), str(one_too_many.id)], account_id=shelf.account_id
        )

    assert sum(file.size_bytes for file in fits.values()) == INLINE_LIMIT_BYTES
    assert refused.value.limit_bytes == INLINE_LIMIT_BYTES
    assert len(await content_of(shelf.media.store, largest.storage_key)) == INLINE_LIMIT_BYTES - len(png())
