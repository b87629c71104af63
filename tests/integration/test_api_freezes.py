import asyncio
from uuid import uuid4

import pytest

from tests.api_in_process import Api


async def test_a_freeze_is_opened_confirmed_in_part_and_read(api: Api) -> None:
    account_id = await api.account("100")

    opened = await api.post(f"/v1/accounts/{account_id}/freezes", {"amount": "10.5", "ttl_s": 60, "reference": "job 1"})
    freeze_id = opened.json()["id"]
    while_open = await api.get(f"/v1/freezes/{freeze_id}")
    confirmed = await api.post(f"/v1/freezes/{freeze_id}/confirm", {"amount": "4"})
    afterwards = await api.get(f"/v1/freezes/{freeze_id}")

    assert opened.status_code == 201
    assert while_open.json() == opened.json()
    expected = {"id": freeze_id, "account_id": account_id, "amount": "10.5", "state": "open", "reference": "job 1"}
    assert expected.items() <= opened.json().items()
    assert (opened.json()["confirmed"], opened.json()["released"], opened.json()["resolved_at"]) == (None, None, None)
    assert confirmed.status_code == 200
    assert afterwards.json() == confirmed.json()
    assert (confirmed.json()["state"], confirmed.json()["confirmed"], confirmed.json()["released"]) == (
        "confirmed", "4", "6.5",
    )  # fmt: skip
    account = (await api.get(f"/v1/accounts/{account_id}")).json()
    assert (account["available"], account["frozen"]) == ("96", "0")


@pytest.mark.parametrize(
    ("body", "confirmed"), [(None, "10"), ({}, "10"), ({"amount": None}, "10"), ({"amount": "0"}, "0")]
)
async def test_a_confirm_takes_all_unless_it_says_how_much(api: Api, body: object, confirmed: str) -> None:
    freeze_id = await api.freeze(await api.account(), "10")

    answer = await api.post(f"/v1/freezes/{freeze_id}/confirm", body)

    assert (answer.status_code, answer.json()["confirmed"]) == (200, confirmed)


async def test_a_rollback_releases_everything(api: Api) -> None:
    account_id = await api.account("100")
    freeze_id = await api.freeze(account_id, "10")

    answer = await api.post(f"/v1/freezes/{freeze_id}/rollback", {"reason": "not needed"})

    assert (answer.json()["state"], answer.json()["confirmed"], answer.json()["released"]) == ("rolled_back", "0", "10")
    events = (await api.get(f"/v1/accounts/{account_id}/events")).json()["items"]
    assert (events[-1]["kind"], events[-1]["reason"]) == ("freeze_rolled_back", "not needed")


async def test_a_repeated_resolution_gets_the_same_bytes_and_another_is_a_conflict(api: Api) -> None:
    freeze_id = await api.freeze(await api.account(), "10")
    path = f"/v1/freezes/{freeze_id}"

    first = await api.post(f"{path}/confirm", {"amount": "3"}, key="settle")
    again = await api.post(f"{path}/confirm", {"amount": "3"}, key="settle")
    reused = await api.post(f"{path}/confirm", {"amount": "4"}, key="settle")
    other = await api.post(f"{path}/rollback")

    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (other.status_code, other.json()["code"], other.json()["state"]) == (
        409, "freeze_already_resolved", "confirmed",
    )  # fmt: skip


async def test_a_repeated_freeze_gets_its_original_answer_even_when_it_is_resolved(api: Api) -> None:
    account_id = await api.account("100")
    path = f"/v1/accounts/{account_id}/freezes"
    first = await api.post(path, {"amount": "10"}, key="f")
    await api.post(f"/v1/freezes/{first.json()['id']}/confirm")

    again = await api.post(path, {"amount": "10"}, key="f")

    assert (again.status_code, again.content) == (201, first.content)


async def test_a_hundred_racing_resolutions_have_one_winner(api: Api) -> None:
    account_id = await api.account("100")
    freeze_id = await api.freeze(account_id, "10")

    answers = await asyncio.gather(
        *(api.post(f"/v1/freezes/{freeze_id}/{'confirm' if n % 2 else 'rollback'}") for n in range(100))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 99
    events = (await api.get(f"/v1/accounts/{account_id}/events")).json()["items"]
    assert len(events) == 4


async def test_fifty_parallel_freezes_of_30_on_a_balance_of_100_are_three(api: Api) -> None:
    account_id = await api.account("100")

    answers = await asyncio.gather(
        *(api.post(f"/v1/accounts/{account_id}/freezes", {"amount": "30"}) for _ in range(50))
    )

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [402] * 47


async def test_a_confirm_cannot_take_more_than_was_frozen(api: Api) -> None:
    freeze_id = await api.freeze(await api.account(), "10")

    refused = await api.post(f"/v1/freezes/{freeze_id}/confirm", {"amount": "10.000001"})

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "amount_exceeds_freeze")
    assert (problem["amount"], problem["frozen"]) == ("10.000001", "10")


@pytest.mark.parametrize("ttl", [0, -1, 31_536_001, "60", 1.5])
async def test_a_lifetime_that_makes_no_sense_is_refused(api: Api, ttl: object) -> None:
    account_id = await api.account()

    refused = await api.post(f"/v1/accounts/{account_id}/freezes", {"amount": "1", "ttl_s": ttl})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/confirm"), ("POST", "/rollback")])
async def test_a_freeze_that_is_not_there_is_not_found(api: Api, method: str, path: str) -> None:
    missing = await api.client.request(method, f"/v1/freezes/{uuid4()}{path}", headers={"Idempotency-Key": "k"})

    assert (missing.status_code, missing.json()["code"]) == (404, "freeze_not_found")
