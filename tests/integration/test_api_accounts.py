from uuid import uuid4

import pytest

from ledger.database import Database
from ledger.sealer import seal
from tests.api_in_process import Api


async def test_an_owner_gets_one_account_however_often_it_is_asked_for(api: Api) -> None:
    owner = uuid4().hex

    first = await api.post("/v1/accounts", {"owner": owner, "name": "Ada"})
    again = await api.post("/v1/accounts", {"owner": owner})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert first.json() == {
        "id": first.json()["id"],
        "owner": owner,
        "name": "Ada",
        "available": "0",
        "frozen": "0",
        "version": 1,
        "created_at": first.json()["created_at"],
    }


async def test_a_repeated_opening_under_one_key_gets_the_original_status(api: Api) -> None:
    body = {"owner": uuid4().hex}

    first = await api.post("/v1/accounts", body, key="open-it")
    again = await api.post("/v1/accounts", body, key="open-it")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_balance_names_its_lots_in_the_order_they_are_spent(api: Api) -> None:
    account_id = await api.account(None)
    for body in (
        {"amount": "5"},
        {"amount": "7", "priority": 1},
        {"amount": "2", "expires_at": "2099-01-01T00:00:00Z"},
    ):
        assert (await api.post(f"/v1/accounts/{account_id}/top-ups", body)).status_code == 201
    await api.freeze(account_id, "8")

    balance = (await api.get(f"/v1/accounts/{account_id}/balance")).json()

    assert (balance["available"], balance["frozen"], balance["version"]) == ("6", "8", 5)
    found = [(lot["remaining"], lot["frozen"], lot["priority"], lot["expires_at"]) for lot in balance["lots"]]
    assert found == [("0", "7", 1, None), ("1", "1", 100, "2099-01-01T00:00:00Z"), ("5", "0", 100, None)]


async def test_a_balance_can_be_had_as_of_a_time_and_as_of_a_seq(api: Api, database: Database) -> None:
    account_id = await api.account("10")
    charged = await api.post(f"/v1/accounts/{account_id}/charges", {"amount": "4", "reference": "r"})
    async with database.connection() as connection:
        assert await seal(connection) == 3
    events = (await api.get(f"/v1/accounts/{account_id}/events")).json()["items"]
    topped_up_at = events[1]["recorded_at"]

    at = await api.get(f"/v1/accounts/{account_id}/balance", params={"at": topped_up_at})
    seq = await api.get(f"/v1/accounts/{account_id}/balance", params={"seq": events[1]["seq"]})
    last = await api.get(f"/v1/accounts/{account_id}/balance", params={"seq": events[2]["seq"]})

    assert [event["seq"] for event in events] == [1, 2, 3]
    assert charged.json()["seq"] is None
    assert (at.json()["available"], seq.json()["available"], last.json()["available"]) == ("10", "10", "6")
    assert at.json()["version"] == seq.json()["version"] == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"at": "yesterday"}, 400, "malformed_request"),
        ({"at": "2026-01-01T00:00:00"}, 400, "malformed_request"),
        ({"at": "9999-12-31T23:59:59-23:59"}, 400, "malformed_request"),
        ({"seq": "null"}, 400, "malformed_request"),
        ({"seq": "0"}, 400, "malformed_request"),
        ({"seq": "9223372036854775808"}, 400, "malformed_request"),
        ({"at": "2026-01-01T00:00:00Z", "seq": "1"}, 422, "ambiguous_point"),
        ({"at": "2001-01-01T00:00:00Z"}, 404, "account_not_found"),
    ],
)
async def test_a_point_that_makes_no_sense_is_refused(api: Api, query: dict[str, str], status: int, code: str) -> None:
    account_id = await api.account()

    refused = await api.get(f"/v1/accounts/{account_id}/balance", params=query)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_events_come_in_pages_in_version_order(api: Api) -> None:
    account_id = await api.account("10")
    for _ in range(3):
        await api.freeze(account_id, "1")

    seen: list[int] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await api.get(f"/v1/accounts/{account_id}/events", params=query)).json()
        seen += [event["version"] for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("cursor", ["x", "!", "MA==", "gAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA", "\u00fc", "A" * 1000])
async def test_a_cursor_that_no_page_gave_out_is_malformed(api: Api, cursor: str) -> None:
    account_id = await api.account()

    refused = await api.get(f"/v1/accounts/{account_id}/events", params={"cursor": cursor})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "all"])
async def test_a_page_has_from_1_to_200_items(api: Api, limit: str) -> None:
    account_id = await api.account()

    refused = await api.get(f"/v1/accounts/{account_id}/events", params={"limit": limit})

    assert refused.status_code == 400


@pytest.mark.parametrize("path", ["", "/balance", "/events", "/balance?at=2030-01-01T00:00:00Z"])
async def test_an_account_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    missing = await api.get(f"/v1/accounts/{uuid4()}{path}")

    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")


@pytest.mark.parametrize("owner", ["", "x" * 201, "a\u0000b", 7, None])
async def test_an_owner_that_cannot_be_kept_is_refused(api: Api, owner: object) -> None:
    refused = await api.post("/v1/accounts", {"owner": owner})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
