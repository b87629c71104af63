import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.api_in_process import Api

PATH = "/v1/sessions"


async def opened(api: Api, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    answer = await api.client.post(PATH, json=fields, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_session_is_opened_read_and_forgotten(api: Api) -> None:
    headers, account_id = await api.user()

    session = await opened(api, headers, model="echo", title="Foxes", system="Be brief.")

    assert (session["model"], session["title"], session["system"]) == ("echo", "Foxes", "Be brief.")
    assert (session["account_id"], session["messages"], session["busy"]) == (account_id, 0, False)
    assert (await api.get(f"{PATH}/{session['id']}", headers=headers)).json() == session
    assert (await api.get(f"{PATH}/{session['id']}/messages", headers=headers)).json() == {
        "items": [], "next_cursor": None,
    }  # fmt: skip
    forgotten = await api.client.delete(f"{PATH}/{session['id']}", headers=headers)
    again = await api.client.delete(f"{PATH}/{session['id']}", headers=headers)
    gone = await api.get(f"{PATH}/{session['id']}", headers=headers)
    assert (forgotten.status_code, forgotten.content) == (204, b"")
    for answer in (again, gone):
        assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")


async def test_a_session_needs_nothing_but_an_account(api: Api) -> None:
    headers, _ = await api.user()

    session = await opened(api, headers)

    assert (session["model"], session["title"], session["system"]) == (None, None, None)


async def test_a_repeated_request_opens_one_session(api: Api) -> None:
    headers, _ = await api.user()

    answers = await asyncio.gather(*(api.post(PATH, {"title": "x"}, key="s", headers=headers) for _ in range(5)))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await api.get(PATH, headers=headers)).json()["items"]) == 1


async def test_sessions_are_listed_newest_first(api: Api) -> None:
    headers, _ = await api.user()
    ids = [(await opened(api, headers))["id"] for _ in range(3)]

    first = (await api.get(PATH, params={"limit": 2}, headers=headers)).json()
    rest = (await api.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


async def test_messages_are_listed_in_order_with_their_parts(api: Api, superuser_url: str) -> None:
    headers, account_id = await api.user()
    session = await opened(api, headers)
    with psycopg.connect(superuser_url) as connection:
        for ordinal in range(1, 4):
            connection.execute(
                "INSERT INTO session_messages (session_id, account_id, generation_id, ordinal, role, parts, partial)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [session["id"], account_id, uuid4(), ordinal, "user" if ordinal % 2 else "assistant",
                 b'[{"type":"text","text":"%d"}]' % ordinal, ordinal == 2],
            )  # fmt: skip

    path = f"{PATH}/{session['id']}/messages"
    first = (await api.get(path, params={"limit": 2}, headers=headers)).json()
    rest = (await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()

    items = first["items"] + rest["items"]
    assert [(item["ordinal"], item["role"], item["partial"]) for item in items] == [
        (1, "user", False), (2, "assistant", True), (3, "user", False),
    ]  # fmt: skip
    assert items[0]["parts"] == [{"type": "text", "text": "1"}]


async def test_the_session_of_another_account_does_not_exist(api: Api) -> None:
    headers, _ = await api.user()
    stranger, _ = await api.user()
    path = f"{PATH}/{(await opened(api, headers))['id']}"

    answers = [
        await api.get(path, headers=stranger),
        await api.get(f"{path}/messages", headers=stranger),
        await api.client.delete(path, headers=stranger),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "session_not_found")}
    assert (await api.get(PATH, headers=stranger)).json()["items"] == []
    assert (await api.get(path, headers=headers)).status_code == 200


async def test_a_service_opens_sessions_on_behalf_of_accounts_and_finance_only_reads(api: Api) -> None:
    account_id, service, finance = await api.account(), await api.role("service"), await api.role("finance")

    session = await opened(api, service, account_id=account_id)
    unsaid = await api.client.post(PATH, json={}, headers=service)
    missing = await api.client.post(PATH, json={"account_id": str(uuid4())}, headers=service)
    refused = await api.client.delete(f"{PATH}/{session['id']}", headers=finance)
    listed = await api.get(PATH, params={"account_id": account_id}, headers=finance)

    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "invalid_request")
    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")
    assert refused.status_code == 403
    assert [item["id"] for item in listed.json()["items"]] == [session["id"]]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing"}, 404, "model_not_found"),
        ({"title": ""}, 422, "invalid_request"),
        ({"title": "a\0b"}, 422, "invalid_request"),
        ({"model": "a\0b"}, 422, "invalid_request"),
        ({"system": "x" * 100_001}, 422, "invalid_request"),
        ({"mood": "good"}, 422, "invalid_request"),
        ({"account_id": str(uuid4())}, 404, "account_not_found"),
    ],
)
async def test_a_session_that_cannot_be_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    headers, _ = await api.user()

    refused = await api.client.post(PATH, json=body, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_a_message_is_said_in_a_session_by_its_model(api: Api) -> None:
    headers, _ = await api.user()
    session = await opened(api, headers, model="echo")
    message = {"session_id": session["id"], "input": {"prompt": "one"}}

    said = await api.client.post("/v1/generations", json=message, headers=headers)
    busy = await api.client.post("/v1/generations", json=message, headers=headers)
    homeless = await api.client.post("/v1/generations", json={"input": {"prompt": "one"}}, headers=headers)

    assert (said.status_code, said.json()["model"]) == (202, "echo")
    assert (busy.status_code, busy.json()["code"], busy.json()["session_id"]) == (409, "session_busy", session["id"])
    assert (homeless.status_code, homeless.json()["code"]) == (422, "invalid_input")
    kept = (await api.get(f"{PATH}/{session['id']}/messages", headers=headers)).json()["items"]
    assert [(item["role"], item["generation_id"]) for item in kept] == [("user", said.json()["id"])]
    assert (await api.get(f"{PATH}/{session['id']}", headers=headers)).json()["busy"] is True
