from typing import Any
from uuid import uuid4

import pytest

from tests.api_in_process import Api


def commands_for(account_id: str) -> list[dict[str, Any]]:
    return [
        {"type": "top_up", "account_id": account_id, "amount": "10"},
        {"type": "grant", "account_id": account_id, "amount": "5", "reason": "welcome"},
        {"type": "charge", "account_id": account_id, "amount": "100", "reference": "too much"},
        {"type": "charge", "account_id": account_id, "amount": "1", "reference": "job"},
        {"type": "adjust", "account_id": account_id, "amount": "-1", "reason": "mistake"},
        {"type": "freeze", "account_id": account_id, "amount": "3"},
        {"type": "freeze", "account_id": str(uuid4()), "amount": "3"},
        {"type": "freeze", "account_id": account_id, "amount": "NaN"},
    ]


async def test_each_command_of_a_batch_is_accepted_or_refused_by_itself_in_order(api: Api) -> None:
    account_id = await api.account(None)

    answer = await api.post("/v1/ledger/batch", {"commands": commands_for(account_id)}, key="batch")

    assert answer.status_code == 200
    outcomes = answer.json()["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == [201, 201, 402, 201, 201, 201, 404, 422]
    assert [outcome.get("available_after") for outcome in outcomes[:5]] == ["10", "15", None, "14", "13"]
    assert outcomes[0]["command_key"] == "batch#0"
    assert (outcomes[2]["code"], outcomes[2]["available"]) == ("insufficient_credits", "15")
    assert (outcomes[5]["state"], outcomes[5]["amount"]) == ("open", "3")
    assert (outcomes[6]["code"], outcomes[7]["code"]) == ("account_not_found", "invalid_amount")


async def test_a_batch_resolves_freezes(api: Api) -> None:
    account_id = await api.account()
    first, second = [await api.freeze(account_id) for _ in range(2)]
    commands = [
        {"type": "confirm", "freeze_id": first, "amount": "4"},
        {"type": "rollback", "freeze_id": second, "reason": "r"},
        {"type": "rollback", "freeze_id": first},
        {"type": "confirm", "freeze_id": str(uuid4())},
    ]

    outcomes = (await api.post("/v1/ledger/batch", {"commands": commands})).json()["outcomes"]

    assert [outcome["status"] for outcome in outcomes] == [200, 200, 409, 404]
    assert (outcomes[0]["confirmed"], outcomes[1]["state"]) == ("4", "rolled_back")


async def test_a_repeated_batch_has_no_second_effect(api: Api) -> None:
    account_id = await api.account(None)
    body = {"commands": commands_for(account_id)[:2]}

    first = await api.post("/v1/ledger/batch", body, key="batch")
    again = await api.post("/v1/ledger/batch", body, key="batch")

    assert again.headers["idempotency-replayed"] == "true"
    drop = {"replayed"}
    for before, after in zip(first.json()["outcomes"], again.json()["outcomes"], strict=True):
        assert {k: v for k, v in before.items() if k not in drop} == {k: v for k, v in after.items() if k not in drop}
    assert [outcome["replayed"] for outcome in again.json()["outcomes"]] == [True, True]
    assert (await api.get(f"/v1/accounts/{account_id}")).json()["available"] == "15"


async def test_a_batch_takes_a_thousand_commands_and_not_one_more(api: Api) -> None:
    account_id = await api.account(None)
    command = {"type": "top_up", "account_id": account_id, "amount": "0.001"}

    taken = await api.post("/v1/ledger/batch", {"commands": [command] * 1000})
    refused = await api.post("/v1/ledger/batch", {"commands": [command] * 1001})
    empty = await api.post("/v1/ledger/batch", {"commands": []})

    assert {outcome["status"] for outcome in taken.json()["outcomes"]} == {201}
    assert [outcome["version"] for outcome in taken.json()["outcomes"]] == list(range(2, 1002))
    assert (refused.status_code, empty.status_code) == (422, 422)
    assert (await api.get(f"/v1/accounts/{account_id}")).json()["available"] == "1"


async def test_every_command_needs_a_key_of_its_own_or_the_batch_one(api: Api) -> None:
    account_id = await api.account(None)
    own = {"type": "top_up", "account_id": account_id, "amount": "1", "idempotency_key": "own"}

    with_own_keys = await api.client.post("/v1/ledger/batch", json={"commands": [own]})
    without = await api.client.post("/v1/ledger/batch", json={"commands": [own, {**own, "idempotency_key": None}]})
    reserved = await api.post("/v1/ledger/batch", {"commands": [{**own, "idempotency_key": "holdfast:open"}]})

    assert with_own_keys.json()["outcomes"][0]["command_key"] == "own"
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_required")
    assert (reserved.status_code, reserved.json()["code"]) == (422, "invalid_idempotency_key")


async def test_a_service_cannot_adjust_in_a_batch_either(api: Api) -> None:
    account_id = await api.account()
    headers = await api.role("service")
    command = {"type": "adjust", "account_id": account_id, "amount": "5", "reason": "r"}

    outcomes = (await api.post("/v1/ledger/batch", {"commands": [command]}, headers=headers)).json()["outcomes"]

    assert (outcomes[0]["status"], outcomes[0]["code"]) == (403, "forbidden")
    assert (await api.get(f"/v1/accounts/{account_id}")).json()["available"] == "100"


@pytest.mark.parametrize(
    "command", [{}, {"type": "open"}, {"type": "top_up"}, {"type": "top_up", "account_id": "x", "amount": "1"}, 1]
)
async def test_a_command_that_is_none_refuses_the_whole_batch(api: Api, command: object) -> None:
    refused = await api.post("/v1/ledger/batch", {"commands": [command]})

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
