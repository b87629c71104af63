import asyncio
from typing import Any

import pytest

from tests.api_in_process import Api

LARGEST = "1152921504606.846976"


async def test_a_top_up_brings_in_credits_and_answers_its_event(api: Api) -> None:
    account_id = await api.account(None)
    body = {
        "amount": "12.50",
        "reference": "order 7",
        "source": "stripe",
        "paid": {"amount": "10.00", "currency": "EUR"},
        "priority": 7,
        "expires_at": "2099-01-01T02:00:00+02:00",
    }

    answer = await api.post(f"/v1/accounts/{account_id}/top-ups", body, key="top-up-1")

    assert answer.status_code == 201
    event = answer.json()
    assert event == {
        "account_id": account_id,
        "version": 2,
        "seq": None,
        "kind": "credits_topped_up",
        "amount": "12.5",
        "available_after": "12.5",
        "frozen_after": "0",
        "reference": "order 7",
        "reason": "",
        "actor": "bootstrap",
        "command_key": "top-up-1",
        "recorded_at": event["recorded_at"],
        "effective_at": event["recorded_at"],
        "hash": event["hash"],
    }
    lots = (await api.get(f"/v1/accounts/{account_id}/balance")).json()["lots"]
    assert [(lot["source"], lot["expires_at"]) for lot in lots] == [("stripe", "2099-01-01T00:00:00Z")]


async def test_grants_charges_and_adjustments_move_credits(api: Api) -> None:
    account_id = await api.account(None)

    granted = await api.post(f"/v1/accounts/{account_id}/grants", {"amount": "5", "reason": "welcome"})
    charged = await api.post(f"/v1/accounts/{account_id}/charges", {"amount": "2", "reference": "job"})
    lowered = await api.post(f"/v1/accounts/{account_id}/adjustments", {"amount": "-1.5", "reason": "mistake"})
    raised = await api.post(f"/v1/accounts/{account_id}/adjustments", {"amount": "0.25", "reason": "and back"})

    events = [answer.json() for answer in (granted, charged, lowered, raised)]
    assert [event["kind"] for event in events] == [
        "credits_granted", "credits_charged", "credits_adjusted", "credits_adjusted",
    ]  # fmt: skip
    assert [event["amount"] for event in events] == ["5", "2", "-1.5", "0.25"]
    assert [event["available_after"] for event in events] == ["5", "3", "1.5", "1.75"]
    assert events[0]["reason"] == "welcome"


async def test_only_an_override_ends_below_zero_and_then_nothing_is_spent(api: Api) -> None:
    account_id = await api.account("1")
    adjustments = f"/v1/accounts/{account_id}/adjustments"

    refused = await api.post(adjustments, {"amount": "-2", "reason": "r"})
    overridden = await api.post(adjustments, {"amount": "-2", "reason": "r", "allow_negative": True})
    charged = await api.post(f"/v1/accounts/{account_id}/charges", {"amount": "1", "reference": "r"})

    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
    assert overridden.json()["available_after"] == "-1"
    assert (charged.status_code, charged.json()["code"]) == (402, "account_in_debt")


async def test_a_charge_beyond_what_is_available_says_how_much_there_is(api: Api) -> None:
    account_id = await api.account("2.5")

    refused = await api.post(f"/v1/accounts/{account_id}/charges", {"amount": "2.500001", "reference": "r"})

    assert refused.status_code == 402
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (problem["code"], problem["required"], problem["available"]) == ("insufficient_credits", "2.500001", "2.5")
    assert problem["request_id"] == refused.headers["x-request-id"]


async def test_amounts_up_to_two_to_the_sixty_microcredits_are_kept_exactly(api: Api) -> None:
    account_id = await api.account(None)

    topped_up = await api.post(f"/v1/accounts/{account_id}/top-ups", {"amount": LARGEST})
    charged = await api.post(f"/v1/accounts/{account_id}/charges", {"amount": "0.000001", "reference": "r"})

    assert topped_up.json()["available_after"] == LARGEST
    assert charged.json()["available_after"] == "1152921504606.846975"


AMOUNTS_THAT_ARE_NONE: list[Any] = [
    "0", "0.000000", "-1", "-0", "+1", "NaN", "Infinity", "1e3", "0x10", "1.0000001", "1152921504606.846977", "9" * 30,
    "", " 1", "1 ", "1,5", ".5", "1.", "\u0661", "1\n", 5, 1.5, True, None, ["1"], {"amount": "1"},
]  # fmt: skip


@pytest.mark.parametrize("route", ["top-ups", "grants", "charges", "freezes"])
async def test_amounts_that_are_none_are_refused(api: Api, route: str) -> None:
    account_id = await api.account()
    more = {"grants": {"reason": "r"}, "charges": {"reference": "r"}}.get(route, {})

    answers = [
        await api.post(f"/v1/accounts/{account_id}/{route}", {"amount": amount, **more})
        for amount in AMOUNTS_THAT_ARE_NONE
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "invalid_amount")] * len(
        answers
    )
    assert (await api.get(f"/v1/accounts/{account_id}")).json()["version"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount": "1", "amonut": "2"},
        {"amount": "1", "priority": -1},
        {"amount": "1", "priority": "1"},
        {"amount": "1", "expires_at": "2030-01-01T00:00:00"},
        {"amount": "1", "expires_at": 1893456000},
        {"amount": "1", "reference": "a\u0000b"},
        {"amount": "1", "source": "Stripe\n"},
        {"amount": "1", "paid": {"amount": "1"}},
        {"amount": "1", "paid": {"amount": "1", "currency": "EUR\n"}},
        [],
        "1",
        None,
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused(api: Api, body: Any) -> None:
    account_id = await api.account()

    refused = await api.client.post(
        f"/v1/accounts/{account_id}/top-ups",
        json=body,
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )

    # `None` as JSON is no body at all for the client.
    assert (refused.status_code, refused.json()["code"]) in {(422, "invalid_request"), (400, "malformed_request")}
    assert refused.status_code == (400 if body is None else 422)


async def test_a_lifetime_total_beyond_the_limit_is_refused(api: Api) -> None:
    account_id = await api.account(None)
    path = f"/v1/accounts/{account_id}/top-ups"
    for _ in range(4):
        assert (await api.post(path, {"amount": LARGEST})).status_code == 201

    refused = await api.post(path, {"amount": "0.000001"})

    assert (refused.status_code, refused.json()["code"]) == (422, "balance_limit_exceeded")


async def test_twenty_parallel_top_ups_with_one_key_have_one_effect_and_one_answer(api: Api) -> None:
    account_id = await api.account(None)
    path = f"/v1/accounts/{account_id}/top-ups"

    answers = await asyncio.gather(*(api.post(path, {"amount": "3"}, key="once") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
    assert (await api.get(f"/v1/accounts/{account_id}")).json()["available"] == "3"


async def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    account_id = await api.account(None)
    path = f"/v1/accounts/{account_id}/top-ups"
    await api.post(path, {"amount": "3"}, key="k")

    refused = await api.post(path, {"amount": "4"}, key="k")

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_whose_request_was_refused_may_succeed_later(api: Api) -> None:
    account_id = await api.account("1")
    charges, body = f"/v1/accounts/{account_id}/charges", {"amount": "2", "reference": "r"}
    assert (await api.post(charges, body, key="later")).status_code == 402
    await api.post(f"/v1/accounts/{account_id}/top-ups", {"amount": "1"})

    charged = await api.post(charges, body, key="later")

    assert (charged.status_code, charged.json()["available_after"]) == (201, "0")
    assert "idempotency-replayed" not in charged.headers


@pytest.mark.parametrize("route", ["top-ups", "grants", "adjustments", "charges", "freezes"])
async def test_a_request_that_moves_credits_needs_a_key(api: Api, route: str) -> None:
    account_id = await api.account()

    good = {"grants": {"reason": "r"}, "adjustments": {"reason": "r"}, "charges": {"reference": "r"}}.get(route, {})
    refused = await api.client.post(f"/v1/accounts/{account_id}/{route}", json={"amount": "1", **good})
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize("key", ["", "x" * 201, "holdfast:open", "tab\there", "umlaut-\xfc"])
async def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    account_id = await api.account()

    refused = await api.client.post(
        f"/v1/accounts/{account_id}/top-ups",
        json={"amount": "1"},
        headers=[(b"Idempotency-Key", key.encode("latin-1"))],
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_idempotency_key")


async def test_a_key_may_have_two_hundred_characters(api: Api) -> None:
    account_id = await api.account()

    taken = await api.post(f"/v1/accounts/{account_id}/top-ups", {"amount": "1"}, key="x" * 200)

    assert taken.status_code == 201


async def test_an_account_that_is_not_there_takes_no_credits(api: Api) -> None:
    missing = await api.post("/v1/accounts/01980000-0000-7000-8000-000000000000/top-ups", {"amount": "1"})

    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")
