"""Batches over the API: items are taken on or refused by themselves, once, whatever happens to the request."""

import asyncio
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from tests.api_in_process import Api, bearer
from tests.generations import settings_for
from tests.waiting import eventually
from workers import batches
from workers.runtime import WorkerRuntime

PATH = "/v1/generation-batches"


def item(prompt: str = "one two three", model: str = "echo", **fields: object) -> dict[str, Any]:
    return {"model": model, "input": {"prompt": prompt}, **fields}


async def frozen_of(api: Api, account_id: str) -> str:
    answer = await api.get(f"/v1/accounts/{account_id}")
    return answer.json()["frozen"]


def count(database_url: str, table: LiteralString) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return row[0]


async def test_each_item_is_taken_on_or_refused_by_itself(api: Api) -> None:
    headers, account_id = await api.user()
    items = [item("first"), item(model="no such model"), item("third"), item("")]
    items[3]["input"] = {}

    answer = await api.post(PATH, {"items": items}, headers=headers)

    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert (batch["total"], batch["admitted"], batch["account_id"]) == (4, 2, account_id)
    assert [each["status"] for each in batch["items"]] == [202, 404, 202, 422]
    assert [each["index"] for each in batch["items"]] == [0, 1, 2, 3]
    assert batch["items"][1]["problem"]["code"] == "model_not_found"
    assert batch["items"][0]["problem"] is None
    generation = await api.get(f"/v1/generations/{batch['items'][0]['generation']['id']}", headers=headers)
    assert (generation.json()["status"], generation.json()["batch_id"]) == ("queued", batch["id"])


async def test_the_same_key_gets_the_same_answer_and_freezes_once(api: Api) -> None:
    headers, account_id = await api.user()
    body = {"items": [item(f"number {number}") for number in range(20)] + [item(model="none")]}

    first = await api.post(PATH, body, key="batch", headers=headers)
    frozen = await frozen_of(api, account_id)
    second = await api.post(PATH, body, key="batch", headers=headers)

    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert await frozen_of(api, account_id) == frozen
    other = await api.post(PATH, {"items": body["items"][:3]}, key="batch", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_batch_whose_request_broke_off_is_gone_through_again_and_freezes_once(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, account_id = await api.user()
    body = {"items": [item(f"number {number}") for number in range(10)] + [item(model="none")]}
    decide = batches._decide  # pyright: ignore[reportPrivateUsage]

    async def die(*_: object) -> None:
        raise ConnectionError("the process is gone")

    monkeypatch.setattr(batches, "_decide", die)
    assert (await api.post(PATH, body, key="batch", headers=headers)).status_code == 503
    frozen = await frozen_of(api, account_id)
    assert count(database_url, "generations") == 10
    monkeypatch.setattr(batches, "_decide", decide)

    answer = await api.post(PATH, body, key="batch", headers=headers)

    assert (answer.status_code, answer.json()["admitted"]) == (202, 10)
    assert await frozen_of(api, account_id) == frozen
    assert (count(database_url, "generations"), count(database_url, "generation_batches")) == (10, 1)
    batch = await api.get(f"{PATH}/{answer.json()['id']}", headers=headers)
    assert (batch.json()["queued"], batch.json()["refused"], batch.json()["done"]) == (10, 1, False)


async def test_an_answer_that_was_forgotten_is_made_again_from_what_was_recorded(api: Api, database_url: str) -> None:
    headers, _ = await api.user()
    body = {"items": [item("one"), item(model="none")]}
    first = await api.post(PATH, body, key="batch", headers=headers)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM idempotent_requests")

    second = await api.post(PATH, body, key="batch", headers=headers)

    assert second.json() == first.json()
    assert second.headers["idempotency-replayed"] == "true"


async def test_what_the_balance_does_not_cover_is_refused_and_the_rest_goes_on(api: Api) -> None:
    headers, _ = await api.user(await api.account("20"))

    answer = await api.post(PATH, {"items": [item("word " * 40) for _ in range(100)]}, headers=headers)

    batch = answer.json()
    assert 0 < batch["admitted"] < 100
    refused = [each["problem"]["code"] for each in batch["items"] if each["problem"] is not None]
    assert set(refused) == {"insufficient_credits"}
    assert len(refused) == 100 - batch["admitted"]


async def test_a_batch_of_five_hundred_is_taken_on_and_runs_to_its_end(
    api: Api, database_url: str, redis_url: str
) -> None:
    headers, _ = await api.user(await api.account("10000"))
    answer = await api.post(PATH, {"items": [item(f"number {number}") for number in range(500)]}, headers=headers)
    path = f"{PATH}/{answer.json()['id']}"
    assert answer.json()["admitted"] == 500

    async with WorkerRuntime(settings_for(database_url, redis_url)) as worker:

        async def is_done() -> bool:
            await asyncio.gather(*(worker.work() for _ in range(50)))
            return (await api.get(path, headers=headers)).json()["done"]

        await eventually(is_done, within_s=60)

    batch = (await api.get(path, params={"limit": 200}, headers=headers)).json()
    assert (batch["completed"], batch["queued"], batch["failed"]) == (500, 0, 0)
    indexes = [each["index"] for each in batch["items"]]
    while batch["next_cursor"]:
        page = await api.get(path, params={"limit": 200, "cursor": batch["next_cursor"]}, headers=headers)
        batch = page.json()
        indexes += [each["index"] for each in batch["items"]]
    assert indexes == list(range(500))


async def test_a_cancelled_batch_ends_and_costs_nothing(api: Api) -> None:
    headers, account_id = await api.user()
    answer = await api.post(PATH, {"items": [item() for _ in range(30)]}, headers=headers)
    path = f"{PATH}/{answer.json()['id']}"

    cancelled = await api.post(f"{path}/cancel", headers=headers)

    assert cancelled.status_code == 202, cancelled.text
    assert (cancelled.json()["cancelled"], cancelled.json()["done"]) == (30, True)
    assert await frozen_of(api, account_id) == "0"
    again = await api.post(f"{path}/cancel", headers=headers)
    assert again.status_code == 200


async def test_batches_of_others_do_not_exist(api: Api) -> None:
    owner, _ = await api.user()
    other, _ = await api.user()
    made = await api.post(PATH, {"items": [item()]}, headers=owner)
    path = f"{PATH}/{made.json()['id']}"

    assert (await api.get(path, headers=other)).status_code == 404
    assert (await api.post(f"{path}/cancel", headers=other)).status_code == 404
    assert (await api.get(f"{PATH}/{UUID(int=0)}")).json()["code"] == "batch_not_found"


async def test_a_service_says_on_whose_behalf_and_items_follow(api: Api) -> None:
    account_id, other = await api.account(), await api.account()
    service = bearer((await api.key("service"))["key"])
    items = [item(), item(account_id=account_id), item(account_id=other)]

    answer = await api.post(PATH, {"items": items, "account_id": account_id}, headers=service)
    nobody = await api.post(PATH, {"items": items}, headers=service)

    assert [each["status"] for each in answer.json()["items"]] == [202, 202, 422]
    assert nobody.status_code == 422
    unknown = await api.post(PATH, {"items": items[:1], "account_id": str(UUID(int=7))}, headers=service)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "account_not_found")


@pytest.mark.parametrize("number", [0, 501])
async def test_a_batch_has_from_one_to_five_hundred_items(api: Api, number: int) -> None:
    headers, _ = await api.user()

    answer = await api.post(PATH, {"items": [item()] * number}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
