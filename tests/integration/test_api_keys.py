import time
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import pytest

from tests.api_in_process import ADMIN_KEY, JWT_SECRET, Api, api_in_process, bearer


async def test_a_key_is_shown_once_and_never_stored(api: Api, database_url: str) -> None:
    account_id = await api.account()

    made = await api.post("/v1/keys", {"role": "user", "name": "phone", "account_id": account_id}, key="make-key")

    key = made.json()
    _, key_id, secret = key["key"].split("_", 2)
    assert (made.status_code, key["role"], key["account_id"], key["name"]) == (201, "user", account_id, "phone")
    assert (key["revoked_at"], key_id) == (None, key["id"].replace("-", ""))
    listed = (await api.get("/v1/keys")).json()["items"]
    assert listed == [{name: value for name, value in key.items() if name != "key"}]
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT api_keys::text FROM api_keys").fetchall()
        recorded = connection.execute("SELECT encode(body, 'escape') FROM idempotent_requests").fetchall()
    assert secret not in str(stored) + str(recorded)


async def test_a_repeated_request_for_a_key_gets_the_same_key(api: Api) -> None:
    body = {"role": "service", "name": "backend"}

    first = await api.post("/v1/keys", body, key="k")
    again = await api.post("/v1/keys", body, key="k")
    other = await api.post("/v1/keys", {**body, "name": "other"}, key="k")

    assert (again.status_code, again.content, again.headers["idempotency-replayed"]) == (201, first.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await api.get("/v1/keys")).json()["items"]) == 1


async def test_an_idempotency_key_belongs_to_the_caller_who_used_it(api: Api) -> None:
    other_admin = await api.role("admin")
    body = {"role": "service", "name": "backend"}

    first = await api.post("/v1/keys", body, key="k")
    theirs = await api.post("/v1/keys", body, key="k", headers=other_admin)

    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]


async def test_an_answer_with_a_secret_is_repeated_only_to_the_credential_that_got_it(api: Api) -> None:
    body = {"role": "service", "name": "backend"}
    credential, refresh = [token(role="admin", sub="ops", iat=issued_at) for issued_at in (1, 2)]
    first = await api.post("/v1/keys", body, key="k", headers=credential)

    refreshed = await api.post("/v1/keys", body, key="k", headers=refresh)
    again = await api.post("/v1/keys", body, key="k", headers=credential)

    assert first.status_code == 201
    assert (refreshed.status_code, refreshed.json()["code"]) == (409, "secret_not_replayable")
    assert again.content == first.content


async def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    key = await api.key("finance")
    headers = bearer(key["key"])
    assert (await api.get("/v1/me", headers=headers)).status_code == 200

    revoked = await api.client.delete(f"/v1/keys/{key['id']}")
    again = await api.client.delete(f"/v1/keys/{key['id']}")

    assert (revoked.status_code, again.status_code) == (204, 204)
    assert (await api.get("/v1/me", headers=headers)).status_code == 401
    assert (await api.get("/v1/keys")).json()["items"][0]["revoked_at"] is not None


async def test_a_key_revoked_by_one_process_is_refused_by_every_other_at_once(
    api: Api, database_url: str, redis_url: str
) -> None:
    key = await api.key("finance")
    async with api_in_process(database_url, redis_url) as other:
        before = await other.get("/v1/me", headers=bearer(key["key"]))
        await api.client.delete(f"/v1/keys/{key['id']}")
        after = await other.get("/v1/me", headers=bearer(key["key"]))

    assert (before.status_code, after.status_code) == (200, 401)


async def test_a_key_that_is_not_there_cannot_be_revoked(api: Api) -> None:
    missing = await api.client.delete(f"/v1/keys/{uuid4()}")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"role": "user", "name": "x"}, 422, "invalid_request"),
        ({"role": "service", "name": "x", "account_id": str(uuid4())}, 422, "invalid_request"),
        ({"role": "user", "name": "x", "account_id": str(uuid4())}, 404, "account_not_found"),
        ({"role": "root", "name": "x"}, 422, "invalid_request"),
        ({"role": "service", "name": ""}, 422, "invalid_request"),
        ({"role": "service", "name": "x" * 201}, 422, "invalid_request"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    refused = await api.post("/v1/keys", body)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_keys_are_listed_in_pages_newest_first(api: Api) -> None:
    made = [(await api.key("service"))["id"] for _ in range(3)]

    first = (await api.get("/v1/keys", params={"limit": 2})).json()
    second = (await api.get("/v1/keys", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [key["id"] for key in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


def token(secret: str = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    return bearer(jwt.encode({"exp": int(time.time()) + 60, **claims}, secret, algorithm=algorithm))


async def test_a_token_of_the_identity_service_is_as_good_as_a_key(api: Api) -> None:
    account_id = await api.account("7")

    user = await api.get("/v1/me/balance", headers=token(role="user", sub=account_id))
    service = await api.get("/v1/me", headers=token(role="service", sub="backend"))
    person = await api.get("/v1/me", headers=token(role="finance", sub="ada@example.com"))

    assert user.json()["available"] == "7"
    assert service.json() == {"role": "service", "actor": "jwt:backend", "account_id": None}
    assert "ada" not in person.json()["actor"]


@pytest.mark.parametrize(
    "claims",
    [
        {"role": "admin", "sub": "x", "exp": 1},
        {"role": "admin", "sub": "x", "exp": None},
        {"role": "admin"},
        {"sub": "x"},
        {"role": "root", "sub": "x"},
        {"role": ["admin"], "sub": "x"},
        {"role": "user", "sub": "not an id"},
        {"role": "admin", "sub": "x", "nbf": 9_999_999_999},
        {"role": "admin", "sub": "x", "secret": "another-" + "s" * 40},
        {"role": "admin", "sub": "x", "algorithm": "HS512"},
    ],
)
async def test_a_token_that_is_not_good_is_refused(api: Api, claims: dict[str, Any]) -> None:
    given = {name: claim for name, claim in claims.items() if claim is not None}
    headers = token(**given)
    if claims.get("exp", 1) is None:
        headers = bearer(jwt.encode(given, JWT_SECRET, algorithm="HS256"))

    assert (await api.get("/v1/me", headers=headers)).status_code == 401


async def test_an_unsigned_token_is_refused(api: Api) -> None:
    unsigned = jwt.encode({"role": "admin", "sub": "x", "exp": 9_999_999_999}, "", algorithm="none")

    assert (await api.get("/v1/me", headers=bearer(unsigned))).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {ADMIN_KEY}", ADMIN_KEY, f"Bearer {ADMIN_KEY}x", "Bearer hf_", "Bearer \xfc"],
)
async def test_a_header_that_proves_nothing_is_refused(api: Api, header: str) -> None:
    refused = await api.get("/v1/me", headers=[(b"Authorization", header.encode("latin-1"))])

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_the_right_id_with_the_wrong_secret_is_refused(api: Api) -> None:
    key = (await api.key("admin"))["key"]

    assert (await api.get("/v1/me", headers=bearer(key[:-4] + "0000"))).status_code == 401
    assert (await api.get("/v1/me", headers={"Authorization": f"bearer {key}"})).status_code == 200
