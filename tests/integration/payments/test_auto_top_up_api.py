"""Automatic top-ups over HTTP: what a user can set, and what they see of it."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.api_in_process import Api, api_in_process
from tests.fakes.stripe_server import FakeStripe

PATH = "/v1/me/auto-top-up"
WISH: dict[str, Any] = {
    "threshold": "50",
    "pack": "starter",
    "gateway": "stripe",
    "monthly_cap": {"amount": "100.00", "currency": "EUR"},
}


@pytest.fixture
async def shop(database_url: str, redis_url: str) -> AsyncIterator[Api]:
    """The API, with keys for Stripe."""
    async with FakeStripe() as stripe, api_in_process(database_url, redis_url, **stripe.environment) as running:
        yield running


async def customer(shop: Api, url: str, *, saved: bool = True) -> dict[str, str]:
    """The headers of a user whose card Stripe keeps."""
    headers, account_id = await shop.user()
    if saved:
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO saved_methods (account_id, gateway, customer_id, method_id, label, saved_at)"
                " VALUES (%s, 'stripe', 'cus_1', 'pm_1', 'Visa •• 4242', now())",
                [account_id],
            )
    return headers


async def test_an_automatic_top_up_is_set_read_and_turned_off(shop: Api, database_url: str) -> None:
    headers = await customer(shop, database_url)

    put = await shop.client.put(PATH, json=WISH, headers=headers)

    assert put.status_code == 200, put.text
    assert put.json() == {
        "threshold": "50",
        "pack": "starter",
        "target": None,
        "gateway": "stripe",
        "method": "Visa •• 4242",
        "region": "eu",
        "monthly_cap": {"amount": "100.00", "currency": "EUR"},
        "charged_this_month": {"amount": "0.00", "currency": "EUR"},
        "state": "active",
        "suspended_at": None,
        "declines": 0,
    }
    assert (await shop.get(PATH, headers=headers)).json() == put.json()
    assert (await shop.client.delete(PATH, headers=headers)).status_code == 204
    gone = await shop.get(PATH, headers=headers)
    assert (gone.status_code, gone.json()["code"]) == (404, "auto_top_up_not_found")
    assert (await shop.client.delete(PATH, headers=headers)).status_code == 204


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"pack": None}, 422, "invalid_auto_top_up"),
        ({"target": "100"}, 422, "invalid_auto_top_up"),
        ({"pack": None, "target": "50"}, 422, "invalid_auto_top_up"),
        ({"monthly_cap": {"amount": "0.01", "currency": "EUR"}}, 422, "invalid_auto_top_up"),
        ({"monthly_cap": {"amount": "0.001", "currency": "EUR"}}, 422, "invalid_request"),
        ({"monthly_cap": {"amount": "1e3", "currency": "EUR"}}, 422, "invalid_request"),
        ({"monthly_cap": {"amount": "100", "currency": "XTS"}}, 422, "currency_not_offered"),
        ({"threshold": "0"}, 422, "invalid_amount"),
        ({"threshold": "-1"}, 422, "invalid_amount"),
        ({"pack": "nothing"}, 404, "pack_not_found"),
        ({"gateway": "paypal"}, 422, "gateway_not_configured"),
        ({"country": "Germany"}, 422, "invalid_request"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    shop: Api, database_url: str, changes: dict[str, Any], status: int, code: str
) -> None:
    headers = await customer(shop, database_url)

    refused = await shop.client.put(PATH, json={**WISH, **changes}, headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert (await shop.get(PATH, headers=headers)).status_code == 404


async def test_without_a_saved_means_of_payment_nothing_is_bought_by_itself(shop: Api, database_url: str) -> None:
    headers = await customer(shop, database_url, saved=False)

    refused = await shop.client.put(PATH, json=WISH, headers={**headers, "Accept-Language": "de"})

    assert (refused.status_code, refused.json()["code"]) == (409, "saved_method_missing")
    assert refused.json()["title"] == "Es ist kein Zahlungsmittel gespeichert"


async def test_the_document_knows_every_answer_of_the_wallet(shop: Api) -> None:
    paths = (await shop.get("/schema/openapi.json")).json()["paths"]

    assert {"200", "404", "409", "422"} <= paths[PATH]["put"]["responses"].keys()
    limited = paths["/v1/me/promo-codes"]["post"]["responses"]["429"]
    assert "too_many_promo_codes" in limited["description"]
    assert "Retry-After" in limited["headers"]
