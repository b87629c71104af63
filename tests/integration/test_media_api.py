"""Uploads and media objects over the API, with the files of this machine as the store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from uuid_utils.compat import uuid7

from api.media_files import FileAnswer
from ledger.database import Database
from tests.api_in_process import Api, api_in_process
from tests.media_files import FILES, NOT_KEPT, mp4, png
from tests.media_stores import local_environment, opened, put, result
from workers.media.fetching import Fetcher
from workers.media.local import LocalStore
from workers.media.objects import MediaObject
from workers.media.results import ResultKeeper
from workers.media.signing import Grant
from workers.media.store import CHUNK_BYTES
from workers.tiers import Tier

URL = "https://replicate.delivery/secret/out.png"


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url, **local_environment(tmp_path)) as running:
        yield running


async def begin(api: Api, headers: dict[str, str], content: bytes, **changes: Any) -> httpx.Response:
    body = {"media_type": "image/png", "size_bytes": len(content), **changes}
    return await api.client.post("/v1/uploads", json=body, headers=headers)


async def send(api: Api, signed: dict[str, Any], content: bytes, **changes: str) -> httpx.Response:
    headers = {**signed["headers"], **changes}
    return await api.client.request(signed["method"], signed["url"], content=content, headers=headers)


async def uploaded(api: Api, headers: dict[str, str], content: bytes, **changes: Any) -> dict[str, Any]:
    """A confirmed upload, as the API shows it."""
    signed = (await begin(api, headers, content, **changes)).json()
    assert (await send(api, signed, content)).status_code == 204
    completed = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
    assert completed.status_code == 200, completed.text
    return (await api.get(f"/v1/media/{signed['id']}", headers=headers)).json()


async def offered(
    api: Api, database_url: str, account_id: str, *, url: str | None = URL, content: bytes | None = None
) -> MediaObject:
    """A result that waits for its bytes."""
    services = api.application.routed.services
    async with Database(database_url) as database, Fetcher(services.generations.media.settings) as fetcher:
        keeper = ResultKeeper(database, services.generations.media, fetcher)
        made = result(content, url=url)
        return await keeper.offer(uuid7(), UUID(account_id), 0, made, tier=Tier.free)


def files_of(folder: Path) -> list[Path]:
    media = folder / "media"
    return sorted(path for path in media.rglob("*") if path.is_file() and path.parent.name != ".unfinished")


async def test_a_file_is_uploaded_confirmed_and_fetched(api: Api) -> None:
    headers, account_id = await api.user()
    content = png(30, 20, padding=100_000)

    begun = await begin(api, headers, content, sha256=hashlib.sha256(content).hexdigest())
    signed = begun.json()
    early = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
    sent = await send(api, signed, content)
    completed = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
    again = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
    shown = (await api.get(f"/v1/media/{signed['id']}", headers=headers)).json()
    fetched = await httpx_without_credentials(api, shown["url"])

    assert (begun.status_code, signed["method"]) == (201, "PUT")
    assert signed["headers"]["If-None-Match"] == "*"
    assert (early.status_code, early.json()["code"]) == (409, "upload_missing")
    assert sent.status_code == 204
    assert completed.status_code == again.status_code == 200
    assert completed.content == again.content
    assert (shown["state"], shown["purpose"], shown["kind"]) == ("stored", "upload", "image")
    assert (shown["width"], shown["height"], shown["size_bytes"]) == (30, 20, len(content))
    assert shown["sha256"] == hashlib.sha256(content).hexdigest()
    assert shown["account_id"] == account_id
    assert fetched.content == content
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert fetched.headers["content-disposition"] == f'inline; filename="{signed["id"]}.png"'


async def httpx_without_credentials(api: Api, url: str, **headers: str) -> httpx.Response:
    request = api.client.build_request("GET", url, headers=headers)
    del request.headers["authorization"]
    return await api.client.send(request)


@pytest.mark.parametrize("media_type", FILES)
async def test_every_type_that_is_kept_can_be_uploaded(api: Api, media_type: str) -> None:
    headers, _ = await api.user()

    shown = await uploaded(api, headers, FILES[media_type], media_type=media_type)

    assert (shown["media_type"], shown["state"]) == (media_type, "stored")


@pytest.mark.parametrize("name", sorted(set(NOT_KEPT) - {"nothing"}))
async def test_an_upload_whose_bytes_are_something_else_is_deleted(api: Api, name: str, tmp_path: Path) -> None:
    headers, _ = await api.user()
    content = NOT_KEPT[name]
    signed = (await begin(api, headers, content)).json()
    await send(api, signed, content)

    refused = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
    again = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (422, "upload_mismatch")
    assert (again.status_code, again.json()["code"]) == (422, "media_not_stored")
    assert (await api.get(f"/v1/media/{signed['id']}", headers=headers)).json()["state"] == "failed"
    assert not files_of(tmp_path)


async def test_an_upload_of_another_type_or_digest_than_announced_is_deleted(api: Api, tmp_path: Path) -> None:
    headers, _ = await api.user()
    jpeg = FILES["image/jpeg"]
    for content, changes in ((jpeg, {}), (png(), {"sha256": "0" * 64})):
        signed = (await begin(api, headers, content, **changes)).json()
        await send(api, signed, content)
        refused = await api.client.post(f"/v1/uploads/{signed['id']}/complete", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "upload_mismatch")

    assert not files_of(tmp_path)


async def test_only_what_was_signed_can_be_sent_and_only_once(api: Api, tmp_path: Path) -> None:
    headers, _ = await api.user()
    content = png()
    signed = (await begin(api, headers, content)).json()
    url = signed["url"]

    refused = [
        await send(api, signed, content + b"x", **{"Content-Length": str(len(content) + 1)}),
        await send(api, signed, content[:-1], **{"Content-Length": str(len(content) - 1)}),
        await send(api, signed, content, **{"Content-Type": "text/html"}),
        await send(api, {**signed, "url": url.replace("image%2Fpng", "text%2Fhtml")}, content),
        await send(api, {**signed, "url": url.replace(f"size={len(content)}", "size=99")}, content),
        await send(api, {**signed, "url": url[:-1] + ("0" if url[-1] != "0" else "1")}, content),
        await send(api, {**signed, "url": url.partition("?")[0]}, content),
        await send(api, {**signed, "method": "GET"}, content),
    ]
    taken = await send(api, signed, content)
    again = await send(api, signed, content)

    assert [answer.status_code for answer in refused] == [422, 422, 422, 403, 403, 403, 403, 403]
    assert (taken.status_code, again.status_code, again.json()["code"]) == (204, 412, "object_exists")
    assert len(files_of(tmp_path)) == 1


async def test_a_body_that_ends_early_or_goes_on_is_not_kept(api: Api, tmp_path: Path) -> None:
    headers, _ = await api.user()
    content = png()
    signed = (await begin(api, headers, content)).json()

    async def pieces(whole: bytes) -> AsyncIterator[bytes]:
        yield whole

    for sent in (content[:-1], content + b"x"):
        answer = await api.client.put(signed["url"], content=pieces(sent), headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["code"]) == (422, "upload_mismatch")

    assert not files_of(tmp_path)


async def test_a_large_file_is_taken_in_pieces(api: Api) -> None:
    headers, _ = await api.user()
    film = mp4(size_bytes=5_000_000)

    shown = await uploaded(api, headers, film, media_type="video/mp4")

    assert shown["size_bytes"] == 5_000_000
    assert (shown["duration_ms"], shown["width"]) == (1_500, 64)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"media_type": "image/svg+xml"}, "media_type_not_allowed"),
        ({"media_type": "text/html"}, "media_type_not_allowed"),
        ({"media_type": "image"}, "invalid_request"),
        ({"media_type": "image/png\n"}, "invalid_request"),
        ({"size_bytes": 64 * 1024 * 1024 + 1}, "media_too_large"),
        ({"size_bytes": 0}, "invalid_request"),
        ({"size_bytes": -1}, "invalid_request"),
        ({"size_bytes": "1"}, "invalid_request"),
        ({"sha256": "0" * 63}, "invalid_request"),
        ({"sha256": "G" * 64}, "invalid_request"),
        ({"name": "x"}, "invalid_request"),
    ],
)
async def test_what_cannot_be_uploaded_is_refused(api: Api, changes: dict[str, Any], code: str) -> None:
    headers, _ = await api.user()

    refused = await begin(api, headers, png(), **changes)

    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_a_repeated_announcement_gets_the_same_upload(api: Api) -> None:
    headers, _ = await api.user()
    body = {"media_type": "image/png", "size_bytes": 10}

    first = await api.post("/v1/uploads", body, key="u", headers=headers)
    again = await api.post("/v1/uploads", body, key="u", headers=headers)

    assert (first.status_code, again.content) == (201, first.content)
    assert len((await api.get("/v1/media", headers=headers)).json()["items"]) == 1


async def test_what_belongs_to_another_account_does_not_exist(api: Api, database_url: str) -> None:
    headers, account_id = await api.user()
    strangers, _ = await api.user()
    shown = await uploaded(api, headers, png())
    waiting = (await begin(api, headers, png())).json()["id"]
    offer = await offered(api, database_url, account_id)

    answers = [
        await api.get(f"/v1/media/{shown['id']}", headers=strangers),
        await api.client.delete(f"/v1/media/{shown['id']}", headers=strangers),
        await api.client.post(f"/v1/uploads/{waiting}/complete", headers=strangers),
        await api.client.post(f"/v1/media/{offer.id}/transfer", json={"size_bytes": 9}, headers=strangers),
        await api.client.post(f"/v1/media/{offer.id}/confirm", headers=strangers),
        await api.get(f"/v1/media/{uuid4()}", headers=headers),
        await api.client.post(f"/v1/media/{shown['id']}/confirm", headers=headers),
        await api.client.post(f"/v1/media/{shown['id']}/transfer", json={"size_bytes": 9}, headers=headers),
        await api.client.post(f"/v1/uploads/{offer.id}/complete", headers=headers),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "media_not_found")}
    assert (await api.get("/v1/media", headers=strangers)).json()["items"] == []
    assert (await begin(api, strangers, png(), account_id=account_id)).status_code == 404


async def test_the_source_of_a_result_is_shown_to_nobody_but_its_owner_who_transfers_it(
    api: Api, database_url: str
) -> None:
    headers, account_id = await api.user()
    offer = await offered(api, database_url, account_id)

    shown = await api.get(f"/v1/media/{offer.id}")
    listed = await api.get("/v1/media", params={"account_id": account_id})
    mine = await api.get(f"/v1/media/{offer.id}", headers=headers)
    finance = await api.client.post(
        f"/v1/media/{offer.id}/transfer", json={"size_bytes": 9}, headers=await api.role("finance")
    )
    begun = await api.client.post(f"/v1/media/{offer.id}/transfer", json={"size_bytes": 9}, headers=headers)

    assert all("secret" not in answer.text for answer in (shown, listed, mine, finance))
    assert "secret" not in repr(offer)
    assert finance.status_code == 403
    assert begun.json()["source_url"] == URL


async def test_a_client_transfers_a_result_itself(api: Api, database_url: str) -> None:
    headers, account_id = await api.user()
    offer = await offered(api, database_url, account_id)
    content = FILES["image/webp"]
    body = {"size_bytes": len(content), "media_type": "image/webp"}

    signed = (await api.client.post(f"/v1/media/{offer.id}/transfer", json=body, headers=headers)).json()
    early = await api.client.post(f"/v1/media/{offer.id}/confirm", headers=headers)
    await send(api, signed, content)
    confirmed = await api.client.post(f"/v1/media/{offer.id}/confirm", headers=headers)
    again = await api.client.post(f"/v1/media/{offer.id}/confirm", headers=headers)
    late = await api.client.post(f"/v1/media/{offer.id}/transfer", json=body, headers=headers)

    assert (early.status_code, early.json()["code"]) == (409, "upload_missing")
    assert confirmed.status_code == 200
    assert (confirmed.json()["state"], confirmed.json()["media_type"]) == ("stored", "image/webp")
    assert again.content == confirmed.content
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "transfer_not_offered", "stored")
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT source_url FROM media_objects").fetchall() == [(None,)]


async def test_a_transfer_of_something_else_is_deleted_and_may_be_sent_again(api: Api, database_url: str) -> None:
    headers, account_id = await api.user()
    offer = await offered(api, database_url, account_id)
    path = f"/v1/media/{offer.id}"
    wrong, right = b"<svg/>", png()

    signed = (await api.client.post(f"{path}/transfer", json={"size_bytes": len(wrong)}, headers=headers)).json()
    await send(api, signed, wrong)
    refused = await api.client.post(f"{path}/confirm", headers=headers)
    signed = (await api.client.post(f"{path}/transfer", json={"size_bytes": len(right)}, headers=headers)).json()
    await send(api, signed, right)
    confirmed = await api.client.post(f"{path}/confirm", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (422, "upload_mismatch")
    assert (confirmed.status_code, confirmed.json()["size_bytes"]) == (200, len(right))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"size_bytes": 9, "media_type": "video/mp4"}, 422, "media_type_not_allowed"),
        ({"size_bytes": 9, "media_type": "image/svg+xml"}, 422, "media_type_not_allowed"),
        ({"size_bytes": 10**9}, 422, "media_too_large"),
        ({}, 422, "invalid_request"),
    ],
)
async def test_a_transfer_that_makes_no_sense_is_refused(
    api: Api, database_url: str, body: dict[str, Any], status: int, code: str
) -> None:
    headers, account_id = await api.user()
    offer = await offered(api, database_url, account_id)

    refused = await api.client.post(f"/v1/media/{offer.id}/transfer", json=body, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_a_transfer_is_offered_for_a_short_time_and_only_from_a_url(api: Api, database_url: str) -> None:
    headers, account_id = await api.user()
    late = await offered(api, database_url, account_id)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE media_objects SET offered_until = now() - interval '1 second'")
    without_url = await offered(api, database_url, account_id, url=None, content=png())

    answers = [
        await api.client.post(f"/v1/media/{found.id}/transfer", json={"size_bytes": 9}, headers=headers)
        for found in (late, without_url)
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "transfer_not_offered")}


async def test_a_deleted_object_is_gone_with_its_bytes(api: Api, tmp_path: Path) -> None:
    headers, _ = await api.user()
    shown = await uploaded(api, headers, png())

    deleted = await api.client.delete(f"/v1/media/{shown['id']}", headers=headers)
    again = await api.client.delete(f"/v1/media/{shown['id']}", headers=headers)

    assert (deleted.status_code, again.status_code) == (204, 204)
    assert (await api.get(f"/v1/media/{shown['id']}", headers=headers)).status_code == 404
    assert (await httpx_without_credentials(api, shown["url"])).status_code == 404
    assert (await api.get("/v1/media", headers=headers)).json()["items"] == []
    assert (await api.client.post(f"/v1/uploads/{shown['id']}/complete", headers=headers)).status_code == 404
    assert not files_of(tmp_path)


async def test_media_are_listed_newest_first_without_urls(api: Api) -> None:
    headers, account_id = await api.user()
    ids = [(await uploaded(api, headers, png()))["id"] for _ in range(3)]

    first = (await api.get("/v1/media", params={"limit": 2}, headers=headers)).json()
    rest = (await api.get("/v1/media", params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()
    by_service = await api.get("/v1/media", params={"account_id": account_id}, headers=await api.role("service"))
    malformed = await api.get("/v1/media", params={"cursor": "x"}, headers=headers)

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert all(item["url"] is None for item in first["items"])
    assert len(by_service.json()["items"]) == 3
    assert (malformed.status_code, malformed.json()["code"]) == (400, "invalid_cursor")


async def test_media_of_the_free_tier_expire_and_those_of_the_paid_one_do_not(api: Api) -> None:
    free, _ = await api.user()
    account_id = await api.account(None)
    await api.post(f"/v1/accounts/{account_id}/top-ups", {"amount": "5", "paid": {"amount": "5", "currency": "EUR"}})
    paid, _ = await api.user(account_id)

    of_free, of_paid = await uploaded(api, free, png()), await uploaded(api, paid, png())

    lives = datetime.fromisoformat(of_free["expires_at"]) - datetime.fromisoformat(of_free["created_at"])
    assert (round(lives.total_seconds() / 86_400), of_paid["expires_at"]) == (30, None)


async def test_a_service_uploads_on_behalf_of_an_account(api: Api) -> None:
    account_id, service = await api.account(), await api.role("service")

    named = await begin(api, service, png(), account_id=account_id)
    unsaid = await begin(api, service, png())

    assert named.status_code == 201
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("header", "status", "expected"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-999999", 206, slice(0, None)),
        ("bytes=-999999", 206, slice(0, None)),
        ("bytes=5-2", 200, slice(0, None)),
        ("bytes=0-1,3-4", 200, slice(0, None)),
        ("lines=0-1", 200, slice(0, None)),
        ("bytes=-", 200, slice(0, None)),
    ],
)
async def test_a_part_of_a_file_is_served_by_its_range(api: Api, header: str, status: int, expected: slice) -> None:
    headers, _ = await api.user()
    content = png()
    shown = await uploaded(api, headers, content)

    served = await httpx_without_credentials(api, shown["url"], Range=header)

    assert (served.status_code, served.content) == (status, content[expected])
    assert served.headers["content-length"] == str(len(served.content))
    if status == 206:
        start, stop, _ = expected.indices(len(content))
        assert served.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(content)}"


@pytest.mark.parametrize("header", ["bytes=9999-", "bytes=-0"])
async def test_a_range_after_the_end_is_refused(api: Api, header: str) -> None:
    headers, _ = await api.user()
    shown = await uploaded(api, headers, png())

    served = await httpx_without_credentials(api, shown["url"], Range=header)

    assert (served.status_code, served.json()["code"]) == (416, "range_not_satisfiable")


@pytest.mark.parametrize(
    "path",
    [
        "/media/",
        "/media/x",
        "/media/../../etc/passwd",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/x?expires=9&signature=",
        "/media/x?expires=-1&signature=0",
        "/media/x?expires=1e9&signature=0",
        "/media/x?expires=9&size=x&signature=0",
        "/media/x?expires=9&signature=%C3%A9",
        "/media/x?expires=99999999999999&type=text/html&signature=00",
    ],
)
async def test_a_url_that_we_did_not_sign_serves_nothing(api: Api, path: str) -> None:
    served = await api.get(path)

    assert served.status_code in {403, 404}
    assert served.headers["content-type"] == "application/problem+json"


async def test_without_a_place_for_media_uploads_are_refused_for_now(database_url: str, redis_url: str) -> None:
    async with api_in_process(database_url, redis_url) as api:
        headers, _ = await api.user()
        refused = await begin(api, headers, png())
        served = await api.get("/media/x")

    assert (refused.status_code, refused.json()["code"]) == (503, "media_store_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert served.status_code == 404


async def test_urls_have_the_public_address_of_the_api_where_it_is_known(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    environment = local_environment(tmp_path, HOLDFAST_PUBLIC_URL="https://api.example/")
    async with api_in_process(database_url, redis_url, **environment) as api:
        headers, _ = await api.user()
        signed = (await begin(api, headers, png())).json()

    assert signed["url"].startswith("https://api.example/media/")


async def test_a_file_is_not_read_on_for_a_client_who_is_gone(tmp_path: Path) -> None:
    sent: list[int] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(len(message.get("body", b"")))

    async with opened(local_environment(tmp_path)) as media:
        assert isinstance(media.store, LocalStore)
        await put(media.store, "a/b", bytes(20 * CHUNK_BYTES))
        grant = Grant(method="GET", key="a/b", expires_at_s=0, media_type="image/png")
        answer = FileAnswer(media.store, grant, size_bytes=20 * CHUNK_BYTES, part=None)
        await answer(cast("Any", None), receive, send)

    assert sum(sent) <= CHUNK_BYTES


async def test_an_upload_whose_client_leaves_in_the_middle_leaves_nothing(api: Api, tmp_path: Path) -> None:
    headers, _ = await api.user()
    signed = (await begin(api, headers, png())).json()

    async def pieces() -> AsyncIterator[bytes]:
        yield png()[:10]
        raise ConnectionResetError

    answer = await api.client.put(signed["url"], content=pieces(), headers={"Content-Type": "image/png"})

    assert answer.status_code == 503
    assert not files_of(tmp_path)
    assert not list((tmp_path / "media" / ".unfinished").glob("*"))


async def test_a_client_who_hangs_up_in_the_middle_of_an_upload_is_no_error_of_ours(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers, _ = await api.user()
    path, _, query = (await begin(api, headers, png())).json()["url"].partition("?")
    came = iter([{"type": "http.request", "body": png()[:10], "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(came)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"content-type", b"image/png")], "http_version": "1.1",
        "scheme": "http", "client": ("127.0.0.1", 1), "server": ("api", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    await api.application(cast("Any", scope), receive, send)

    assert sent[0]["status"] == 422
    assert "unexpected_error" not in capsys.readouterr().out
    assert not files_of(tmp_path)
