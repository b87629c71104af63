import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.api_in_process import Api

PATH = "/v1/generations"


def asking(prompt: str = "one two three", **fields: Any) -> dict[str, Any]:
    return {"model": "echo", "input": {"prompt": prompt}, **fields}


async def test_a_generation_is_taken_on_and_its_most_is_frozen(api: Api) -> None:
    headers, account_id = await api.user()

    answer = await api.client.post(PATH, json=asking(max_output_tokens=10), headers=headers)

    assert answer.status_code == 202
    taken = answer.json()
    generation_id = taken["id"]
    assert (taken["status"], taken["model"], taken["account_id"]) == ("queued", "echo", account_id)
    assert taken["events_url"] == f"{PATH}/{generation_id}/events"
    assert taken["cancel_url"] == f"{PATH}/{generation_id}/cancel"
    assert (await api.get("/v1/me/balance", headers=headers)).json()["frozen"] == taken["frozen"] != "0"
    found = (await api.get(f"{PATH}/{generation_id}", headers=headers)).json()
    assert (found["status"], found["output"], found["usage"], found["cost"]) == ("queued", None, None, None)
    assert found["timings"]["started_at"] is None


async def test_a_repeated_request_gets_the_original_answer_and_freezes_once(api: Api) -> None:
    headers, _ = await api.user()

    answers = await asyncio.gather(*(api.post(PATH, asking(), key="g", headers=headers) for _ in range(20)))
    cancelled = await api.post(f"{PATH}/{answers[0].json()['id']}/cancel", headers=headers)
    later = await api.post(PATH, asking(), key="g", headers=headers)
    reused = await api.post(PATH, asking("other"), key="g", headers=headers)

    assert {answer.status_code for answer in answers} == {202}
    assert cancelled.status_code == 202
    assert {answer.content for answer in [*answers, later]} == {answers[0].content}
    assert later.headers["idempotency-replayed"] == "true"
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    statement = (await api.get("/v1/me/statement", headers=headers)).json()["items"]
    assert [line["kind"] for line in statement].count("credits_frozen") == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing", "input": {"prompt": "x"}}, 404, "model_not_found"),
        ({"model": "echo", "input": {}}, 422, "invalid_input"),
        ({"model": "echo", "input": {"prompt": 7}}, 422, "invalid_input"),
        ({"model": "echo", "input": {"prompt": "x", "messages": []}}, 422, "invalid_input"),
        ({"model": "echo", "input": {"prompt": "x", "temperature": 1}}, 422, "invalid_input"),
        ({"model": "echo", "input": {"prompt": "x", "delay_ms": -1}}, 422, "invalid_input"),
        ({"model": "echo", "input": "x"}, 422, "invalid_request"),
        ({"model": "echo"}, 422, "invalid_request"),
        ({"model": "echo", "input": {"prompt": "x"}, "max_output_tokens": 0}, 422, "invalid_request"),
        ({"model": "echo", "input": {"prompt": "x"}, "mode": "video"}, 422, "invalid_input"),
        ({"model": "echo", "input": {"prompt": "x"}, "account_id": str(uuid4())}, 404, "account_not_found"),
    ],
)
async def test_what_cannot_be_generated_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    headers, _ = await api.user()

    refused = await api.client.post(PATH, json=body, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_an_account_without_credits_is_told_how_many_it_needs(api: Api) -> None:
    headers, _ = await api.user(await api.account("0.0001"))

    refused = await api.client.post(PATH, json=asking(), headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
    assert refused.json()["available"] == "0.0001"


async def test_a_service_acts_on_behalf_of_an_account(api: Api) -> None:
    account_id, service = await api.account(), await api.role("service")

    taken = await api.client.post(PATH, json=asking(account_id=account_id), headers=service)
    unsaid = await api.client.post(PATH, json=asking(), headers=service)
    missing = await api.client.post(PATH, json=asking(account_id=str(uuid4())), headers=service)
    listed = await api.get(PATH, params={"account_id": account_id}, headers=service)

    assert (taken.status_code, taken.json()["account_id"]) == (202, account_id)
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "invalid_request")
    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")
    assert [item["id"] for item in listed.json()["items"]] == [taken.json()["id"]]


async def test_a_cancelled_generation_costs_nothing_and_can_be_retried(api: Api) -> None:
    headers, _ = await api.user()
    generation_id = await api.generation(headers)
    early = await api.client.post(f"{PATH}/{generation_id}/retry", headers=headers)

    cancelled = await api.client.post(f"{PATH}/{generation_id}/cancel", headers=headers)
    again = await api.client.post(f"{PATH}/{generation_id}/cancel", headers=headers)
    retried = await api.post(f"{PATH}/{generation_id}/retry", key="r", headers=headers)
    repeated = await api.post(f"{PATH}/{generation_id}/retry", key="r", headers=headers)

    assert (early.status_code, early.json()["code"], early.json()["state"]) == (
        409, "generation_not_retryable", "queued",
    )  # fmt: skip
    assert early.json()["status"] == 409
    assert (cancelled.status_code, cancelled.json()["status"], cancelled.json()["cost"]) == (202, "cancelled", "0")
    assert (again.status_code, again.content) == (200, cancelled.content)
    assert (retried.status_code, retried.json()["retry_of"]) == (202, generation_id)
    assert repeated.content == retried.content


async def test_generations_are_listed_newest_first_without_their_output(api: Api) -> None:
    headers, _ = await api.user()
    ids = [await api.generation(headers) for _ in range(3)]

    first = (await api.get(PATH, params={"limit": 2}, headers=headers)).json()
    rest = (await api.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()
    malformed = await api.get(PATH, params={"cursor": "x"}, headers=headers)

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert (malformed.status_code, malformed.json()["code"]) == (400, "invalid_cursor")


async def test_a_statement_shows_every_change_with_the_balance_after_it(api: Api) -> None:
    headers, account_id = await api.user(await api.account("10"))
    freeze_id = await api.freeze(account_id, "4")
    await api.post(f"/v1/freezes/{freeze_id}/confirm", {"amount": "1"})

    whole = (await api.get("/v1/me/statement", headers=headers)).json()["items"]
    paged: list[Any] = []
    cursor: str | None = None
    while cursor is not None or not paged:
        query = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        page = (await api.get("/v1/me/statement", params=query, headers=headers)).json()
        paged, cursor = paged + page["items"], page["next_cursor"]

    assert [(line["change"], line["available"], line["frozen"]) for line in whole] == [
        ("0", "0", "0"), ("10", "10", "0"), ("-4", "6", "4"), ("3", "9", "0"),
    ]  # fmt: skip
    assert paged == whole
    assert not {"actor", "command_key"} & set(whole[0])


async def test_the_catalogue_shows_prices_and_an_administrator_changes_them(api: Api) -> None:
    headers, _ = await api.user()
    model = {"provider": "echo", "upstream_name": "echo", "context_tokens": 100, "default_output_tokens": 5,
             "max_output_tokens": 10}  # fmt: skip
    price = {
        "prices": {"input_per_mtok": "3", "output_per_mtok": "0.5"},
        "costs": {"input_per_mtok": "1", "output_per_mtok": "0"},
    }

    defined = await api.client.put("/v1/models/parrot", json=model)
    priced = await api.post("/v1/models/parrot/prices", price, key="p1")
    repeated = await api.post("/v1/models/parrot/prices", price, key="p1")
    again = await api.post("/v1/models/parrot/prices", {"prices": {"input_per_mtok": "4", "output_per_mtok": "0"}})
    listed = (await api.get("/v1/models", headers=headers)).json()["items"]
    history = (await api.get("/v1/models/parrot/prices")).json()["items"]

    assert (defined.status_code, priced.status_code, priced.json()["version"]) == (200, 201, 1)
    assert repeated.content == priced.content
    assert again.json()["version"] == 2
    offered = {item["name"]: item for item in listed}
    assert offered["echo"]["prices"]["output_per_mtok"] != "0"
    assert (offered["parrot"]["price_version"], offered["parrot"]["prices"]["input_per_mtok"]) == (2, "4")
    assert "claude-opus-5-5" not in offered, "its provider has no key here"
    assert [(version["version"], version["created_by"]) for version in history] == [(2, "bootstrap"), (1, "bootstrap")]
    assert history[1]["prices"]["cache_read_per_mtok"] == "3"


@pytest.mark.parametrize("price", ["-1", "NaN", "1e3", "0.0000001", "1000000000.000001", 1, None])
async def test_a_price_that_is_none_is_refused(api: Api, price: object) -> None:
    refused = await api.post("/v1/models/echo/prices", {"prices": {"input_per_mtok": price, "output_per_mtok": "1"}})

    assert refused.status_code == 422


async def test_a_model_that_makes_no_sense_is_refused(api: Api) -> None:
    model = {
        "provider": "nobody",
        "upstream_name": "x",
        "context_tokens": 1,
        "default_output_tokens": 1,
        "max_output_tokens": 1,
    }

    refused = await api.client.put("/v1/models/x", json=model)
    unknown = await api.post("/v1/models/x/prices", {"prices": {"input_per_mtok": "1", "output_per_mtok": "1"}})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_model")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")


async def test_a_user_is_shown_only_models_that_are_for_them(api: Api) -> None:
    headers, _ = await api.user()
    model = {"provider": "echo", "upstream_name": "echo", "tiers": ["paid"]}
    await api.client.put("/v1/models/dear", json=model)
    await api.post("/v1/models/dear/prices", {"prices": {"per_job": "1"}})

    shown = {item["name"] for item in (await api.get("/v1/models", headers=headers)).json()["items"]}
    everyone = {item["name"] for item in (await api.get("/v1/models")).json()["items"]}
    refused = await api.post(PATH, {"model": "dear", "input": {"prompt": "x"}}, headers=headers)

    assert "dear" in everyone - shown
    assert (refused.status_code, refused.json()["code"]) == (403, "tier_required")


async def test_who_made_a_model_what_it_is_can_be_read(api: Api) -> None:
    for enabled in (True, False):
        await api.client.put("/v1/models/mine", json={"provider": "echo", "upstream_name": "x", "enabled": enabled})

    versions = (await api.get("/v1/models/mine/versions")).json()["items"]

    assert [(each["version"], each["definition"]["enabled"], each["created_by"]) for each in versions] == [
        (2, False, "bootstrap"),
        (1, True, "bootstrap"),
    ]


async def test_the_calls_of_a_generation_are_for_those_who_answer_for_their_cost(api: Api) -> None:
    headers, account_id = await api.user()
    await api.post(f"/v1/accounts/{account_id}/grants", {"amount": "10", "reason": "test"}, key="g")
    generation = (await api.post(PATH, {"model": "echo", "input": {"prompt": "x"}}, headers=headers)).json()

    mine = await api.get(f"{PATH}/{generation['id']}/calls", headers=headers)
    listed = await api.get(f"{PATH}/{generation['id']}/calls")
    unknown = await api.get(f"{PATH}/{uuid4()}/calls")

    assert mine.status_code == 403
    assert (listed.status_code, listed.json()["items"]) == (200, [])
    assert unknown.status_code == 404
