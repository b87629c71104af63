"""Checkouts at the gateways' own servers: one object for an order, also where an answer was lost, in every currency."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.api_in_process import Api, api_in_process
from tests.fakes.scripted_server import json_answer
from tests.tills import PaddleTill, PayPalTill, StripeTill, Till, YooKassaTill, till_of
from workers.payments.catalogue.seed import read_seed

PATH = "/v1/checkouts"
MOST_TRIES = 10
"""More than a gateway's module makes by itself."""


@pytest.fixture(params=["stripe", "yookassa", "paddle", "paypal"])
async def till(request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    async with till_of(request.param) as till:
        yield till


@pytest.fixture
async def api(database_url: str, redis_url: str, till: Till) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url, **till.environment) as api:
        yield api


def wish(till: Till, **fields: Any) -> dict[str, Any]:
    body = {"gateway": till.name, "currency": till.currency, "return_url": "https://shop.example/thanks"}
    return {**body, **(fields or {"pack": "starter"})}


def act_and_fail(till: Till, times: int) -> None:
    """Have the gateway do what it is asked, and answer that something went wrong, so many times."""
    failures = [json_answer(503, {})] * times
    match till:
        case StripeTill():
            till.server.after_acting(*failures)
        case YooKassaTill() | PayPalTill():
            till.server.acts_but(*failures)
        case PaddleTill():
            till.server.act_then(*failures)
        case _:
            raise AssertionError(till)


def made_at(till: Till) -> int:
    """How many things there are at the gateway that could be paid."""
    match till:
        case StripeTill():
            return len(till.server.all("checkout.session"))
        case YooKassaTill():
            return len({call.headers["idempotence-key"] for call in till.server.created})
        case PayPalTill():
            return len(till.server.orders)
        case PaddleTill():
            return len(till.server.transactions)
        case _:
            raise AssertionError(till)


async def test_an_answer_that_was_lost_is_found_again_under_the_same_key(
    api: Api, till: Till, database_url: str
) -> None:
    headers, _ = await api.user(await api.account(None))
    lost, key = None, ""
    # The module tries more than once by itself: let it fail just once more often than that.
    for times in range(1, MOST_TRIES + 1):
        key = f"try-{times}"
        act_and_fail(till, times)
        lost = await api.post(PATH, wish(till), key=key, headers=headers)
        if lost.status_code != 201:
            break
    assert lost is not None
    before = made_at(till)

    found = await api.post(PATH, wish(till), key=key, headers=headers)
    again = await api.post(PATH, wish(till), key=key, headers=headers)

    # Paddle knows no keys; its module looks itself for what it may have made.
    said = (lost.status_code, lost.json().get("code"), "Retry-After" in lost.headers)
    assert said == ((201, None, False) if till.name == "paddle" else (503, "gateway_unavailable", True))
    assert (found.status_code, again.content) == (201, found.content)
    with psycopg.connect(database_url) as connection:
        orders = connection.execute("SELECT gateway_id FROM payment_orders").fetchall()
    assert made_at(till) == before == len(orders)
    assert len(set(orders)) == len(orders)


async def test_every_currency_is_taken_or_refused_for_good(api: Api, till: Till) -> None:
    headers, _ = await api.user(await api.account(None))
    currencies = {region.currency for region in read_seed().region.values()}

    answers = {
        currency: await api.post(PATH, {**wish(till), "currency": currency}, headers=headers)
        for currency in sorted(currencies)
    }

    taken = {currency for currency, answer in answers.items() if answer.status_code == 201}
    assert {"USD", "EUR", "JPY"} <= taken
    for currency in currencies - taken:
        assert (answers[currency].status_code, answers[currency].json()["code"]) == (422, "gateway_refused"), currency


async def test_a_plan_is_sold_where_somebody_renews_it(api: Api, till: Till) -> None:
    headers, _ = await api.user(await api.account(None))

    answer = await api.post(PATH, wish(till, plan="plus"), headers=headers)

    if till.name == "paypal":
        assert (answer.status_code, answer.json()["code"]) == (422, "plan_not_sold_here")
    else:
        assert answer.status_code == 201, answer.text
