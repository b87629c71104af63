"""Both stores keep the same promises; the bucket is a fake that refuses what S3 and R2 refuse."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.fakes.s3_server import Bucket, Upload, s3_server
from tests.media_files import png
from tests.media_stores import BUCKET, CREDENTIALS, bucket_environment, content_of, local_environment, opened, put
from workers.media.bucket import PART_BYTES
from workers.media.errors import StoreUnavailable
from workers.media.local import LocalStore
from workers.media.opening import open_media
from workers.media.store import CHUNK_BYTES, MediaStore, ObjectMissing, read_head

KEY = "0198a000-0000-7000-8000-000000000001/0198a000-0000-7000-8000-000000000002"
PNG = "image/png"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as running:
        running.name = BUCKET
        yield running


@pytest.fixture(params=["local", "bucket"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MediaStore]:
    environment = (
        local_environment(tmp_path)
        if request.param == "local"
        else bucket_environment(request.getfixturevalue("bucket").url)
    )
    async with opened(environment) as media:
        yield media.store


async def test_what_was_committed_is_there_whole(store: MediaStore) -> None:
    assert await put(store, KEY, b"x" * 1_000)

    found = await store.head(KEY)
    assert found is not None
    assert found.size_bytes == 1_000
    assert await content_of(store, KEY) == b"x" * 1_000


async def test_what_was_not_committed_was_never_there(store: MediaStore) -> None:
    async with store.writing(KEY, media_type="image/png") as writer:
        await writer.write(bytes(2 * PART_BYTES + 1))

    assert await store.head(KEY) is None


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES + 7])
async def test_every_size_comes_back_as_it_was(store: MediaStore, size_bytes: int) -> None:
    content = (b"0123456789abcdef" * (size_bytes // 16 + 1))[:size_bytes]
    async with store.writing(KEY, media_type="video/mp4") as writer:
        for start in range(0, size_bytes, 777_777):
            await writer.write(content[start : start + 777_777])
        assert await writer.commit()

    pieces = [piece async for piece in store.read(KEY)]

    assert b"".join(pieces) == content
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)


@pytest.mark.parametrize("size_bytes", [5, 2 * PART_BYTES])
async def test_the_second_writer_loses_and_changes_nothing(store: MediaStore, size_bytes: int) -> None:
    contents = [bytes([letter]) * size_bytes for letter in range(6)]

    won = await asyncio.gather(*(put(store, KEY, content) for content in contents))

    assert won.count(True) == 1
    assert await content_of(store, KEY) == contents[won.index(True)]


async def test_a_part_of_an_object_is_read_by_its_place(store: MediaStore) -> None:
    await put(store, KEY, b"0123456789")

    parts = [
        b"".join([piece async for piece in store.read(KEY, start=start, length=length)])
        for start, length in ((2, 3), (8, None), (8, 50), (10, 1), (50, 1), (3, 0))
    ]

    assert parts == [b"234", b"89", b"89", b"", b"", b""]
    assert await read_head(store, KEY, length=4) == b"0123"


async def test_an_object_that_is_not_there_is_missing_and_can_be_deleted(store: MediaStore) -> None:
    assert await store.head(KEY) is None
    with pytest.raises(ObjectMissing):
        await content_of(store, KEY)
    await store.delete(KEY)

    await put(store, KEY, b"x")
    await store.delete(KEY)

    assert await store.head(KEY) is None
    assert await put(store, KEY, b"y"), "the place is free again"


async def test_nothing_that_was_being_written_is_forgotten_within_a_day(store: MediaStore) -> None:
    async with store.writing(KEY, media_type="image/png") as writer:
        await writer.write(bytes(PART_BYTES + 1))
        assert await store.forget_unfinished() == 0
        assert await writer.commit()


async def test_an_upload_to_the_bucket_is_signed_for_exactly_its_type_and_length(
    bucket: Bucket, tmp_path: Path
) -> None:
    content = png()
    async with opened(bucket_environment(bucket.url)) as media, httpx.AsyncClient(trust_env=False) as client:
        signed = await media.store.presign_put(KEY, media_type=PNG, size_bytes=len(content), ttl_s=60.0)
        longer = await client.put(signed.url, content=content + b"x", headers=_without_length(signed.headers))
        other = await client.put(
            signed.url, content=content, headers={**_without_length(signed.headers), "Content-Type": "text/html"}
        )
        overwriting = await client.put(signed.url, content=content, headers={"Content-Type": "image/png"})
        elsewhere = await client.put(
            signed.url.replace("000002", "000003"), content=content, headers=_without_length(signed.headers)
        )
        exact = await client.put(signed.url, content=content, headers=signed.headers)
        again = await client.put(signed.url, content=content, headers=signed.headers)

    assert [answer.status_code for answer in (longer, other, overwriting, elsewhere)] == [403] * 4
    assert (exact.status_code, again.status_code) == (200, 412)
    assert bucket.objects == {f"kept/{KEY}": content}
    assert bucket.media_types == {f"kept/{KEY}": "image/png"}


async def test_a_url_of_the_bucket_ends_with_its_time(bucket: Bucket) -> None:
    async with opened(bucket_environment(bucket.url)) as media, httpx.AsyncClient(trust_env=False) as client:
        await put(media.store, KEY, b"x")
        good = await media.store.presign_get(KEY, media_type="image/png", ttl_s=60.0, filename="a.png")
        served = await client.get(good.url)
        expired = await client.get((await media.store.presign_get(KEY, media_type="image/png", ttl_s=-5.0)).url)
        retyped = await client.get(good.url.replace("image%2Fpng", "text%2Fhtml"))

    assert (served.status_code, served.headers["content-type"]) == (200, "image/png")
    assert served.headers["content-disposition"] == 'inline; filename="a.png"'
    assert (expired.status_code, retyped.status_code) == (403, 403)


async def test_a_large_object_is_sent_in_parts_of_one_size(bucket: Bucket) -> None:
    async with opened(bucket_environment(bucket.url)) as media:
        await put(media.store, KEY, bytes(2 * PART_BYTES + 1), media_type="video/mp4")

    assert bucket.requests == ["POST uploads", *["PUT partNumber uploadId"] * 3, "POST uploadId"]
    assert bucket.media_types == {f"kept/{KEY}": "video/mp4"}
    assert not bucket.uploads


async def test_a_multipart_upload_that_is_given_up_leaves_no_parts(bucket: Bucket) -> None:
    async with opened(bucket_environment(bucket.url)) as media:
        with pytest.raises(RuntimeError):
            await _write_and_fail(media.store)
        await put(media.store, KEY, b"first")
        assert not await put(media.store, KEY, bytes(PART_BYTES + 1))

    assert not bucket.uploads


async def _write_and_fail(store: MediaStore) -> None:
    async with store.writing(KEY, media_type="video/mp4") as writer:
        await writer.write(bytes(PART_BYTES + 1))
        raise RuntimeError


async def test_parts_that_a_dead_process_left_in_the_bucket_are_forgotten_after_a_day(bucket: Bucket) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    bucket.uploads["old"] = Upload("kept/old", "video/mp4", long_ago)
    bucket.uploads["recent"] = Upload("kept/other", "video/mp4")
    bucket.uploads["strange"] = Upload("other", "video/mp4", long_ago)

    async with opened(bucket_environment(bucket.url)) as media:
        forgotten = await media.store.forget_unfinished()

    assert forgotten == 1
    assert set(bucket.uploads) == {"recent", "strange"}


async def test_a_bucket_that_is_away_is_told_from_an_object_that_is(bucket: Bucket) -> None:
    async with opened(bucket_environment(bucket.url)) as media:
        bucket.name = "renamed"
        with pytest.raises(StoreUnavailable):
            await put(media.store, KEY, b"x")
        with pytest.raises(StoreUnavailable):
            await content_of(media.store, KEY)


async def test_a_file_left_behind_by_a_dead_process_is_forgotten_after_a_day(tmp_path: Path) -> None:
    async with opened(local_environment(tmp_path)) as media:
        await put(media.store, KEY, b"x")
        folder = tmp_path / "media" / ".unfinished"
        old, recent = folder / "old", folder / "recent"
        old.write_bytes(b"x")
        recent.write_bytes(b"x")
        os.utime(old, (0, 0))

        forgotten = await media.store.forget_unfinished()

    assert forgotten == 1
    assert list(folder.iterdir()) == [recent]


@pytest.mark.parametrize("key", ["../x", "a/../b", "/etc/passwd", "a//b", "a/.b", "", "a\0b", "a\n", ".unfinished/x"])
async def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    async with opened(local_environment(tmp_path)) as media:
        assert isinstance(media.store, LocalStore)
        assert await media.store.head(key) is None
        with pytest.raises(ObjectMissing):
            await content_of(media.store, key)
        with pytest.raises(ObjectMissing):
            await media.store.delete(key)


async def test_a_folder_that_cannot_be_written_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file in place of the folder")
    async with opened(local_environment(tmp_path)) as media:
        with pytest.raises(StoreUnavailable):
            await put(media.store, KEY, b"x")


async def test_an_installation_without_a_place_for_media_says_so() -> None:
    store = open_media({}).store

    assert not store.is_reachable
    assert await store.forget_unfinished() == 0
    for refused in (
        store.presign_put(KEY, media_type=PNG, size_bytes=1, ttl_s=60.0),
        store.presign_get(KEY, media_type=PNG, ttl_s=60.0),
        store.head(KEY),
        store.delete(KEY),
    ):
        with pytest.raises(StoreUnavailable, match="HOLDFAST_MEDIA_BUCKET"):
            await refused
    with pytest.raises(StoreUnavailable):
        store.writing(KEY, media_type="image/png")
    with pytest.raises(StoreUnavailable):
        store.read(KEY)
    await store.aclose()


def _without_length(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "Content-Length"}
