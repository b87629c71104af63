"""Checkouts at the gateways' own servers: one object for an order, also where an answer was lost, in every currency."""

import psycopg

from tests.api_in_process import Api
from tests.customers import wish
from tests.fakes.scripted_server import json_answer
from tests.tills import PaddleTill, PayPalTill, StripeTill, Till, YooKassaTill
from workers.payments.catalogue.seed import read_seed

PATH = "/v1/checkouts"
MOST_TRIES = 10
"""More than a gateway's module makes by itself."""


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
    till_api: Api, till: Till, database_url: str
) -> None:
    headers, _ = await till_api.user(await till_api.account(None))
    lost, key = None, ""
    # The module tries more than once by itself: let it fail just once more often than that.
    for times in range(1, MOST_TRIES + 1):
        key = f"try-{times}"
        act_and_fail(till, times)
        lost = await till_api.post(PATH, wish(till), key=key, headers=headers)
        if lost.status_code != 201:
            break
    assert lost is not None
    before = made_at(till)

    found = await till_api.post(PATH, wish(till), key=key, headers=headers)
    again = await till_api.post(PATH, wish(till), key=key, headers=headers)

    # Paddle knows no keys; its module looks itself for what it may have made.
    said = (lost.status_code, lost.json().get("code"), "Retry-After" in lost.headers)
    assert said == ((201, None, False) if till.name == "paddle" else (503, "gateway_unavailable", True))
    assert (found.status_code, again.content) == (201, found.content)
    with psycopg.connect(database_url) as connection:
        orders = connection.execute("SELECT gateway_id FROM payment_orders").fetchall()
    assert made_at(till) == before == len(orders)
    assert len(set(orders)) == len(orders)


async def test_every_currency_is_taken_or_refused_for_good(till_api: Api, till: Till) -> None:
    headers, _ = await till_api.user(await till_api.account(None))
    currencies = {region.currency for region in read_seed().region.values()}

    answers = {
        currency: await till_api.post(PATH, {**wish(till), "currency": currency}, headers=headers)
        for currency in sorted(currencies)
    }

    taken = {currency for currency, answer in answers.items() if answer.status_code == 201}
    assert {"USD", "EUR", "JPY"} <= taken
    for currency in currencies - taken:
        assert (answers[currency].status_code, answers[currency].json()["code"]) == (422, "gateway_refused"), currency


async def test_a_plan_is_sold_where_somebody_renews_it(till_api: Api, till: Till) -> None:
    headers, _ = await till_api.user(await till_api.account(None))

    answer = await till_api.post(PATH, wish(till, plan="plus"), headers=headers)

    if till.name == "paypal":
        assert (answer.status_code, answer.json()["code"]) == (422, "plan_not_sold_here")
    else:
        assert answer.status_code == 201, answer.text
