"""Checkouts over HTTP, with a gateway that is not there: orders, their keys, and what nobody but a gateway can say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.api_in_process import Api, api_in_process
from tests.payments import PlainGateway
from workers.payments.gateway import GatewayError, Purchase, RenewedBy, StartedPurchase

PATH = "/v1/checkouts"
RETURN_URL = "https://shop.example/thanks?order=1"


class ShopGateway(PlainGateway):
    """Keeps one object for each order, as gateways do, and fails when it is told to."""

    def __init__(self, name: str = "shop", renewed_by: RenewedBy = "gateway") -> None:
        self.name = name
        self.renewed_by: RenewedBy = renewed_by
        self.objects: dict[UUID, Purchase] = {}
        self.asked: list[Purchase] = []
        self.failures: list[BaseException] = []

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """One object for an order; asking for another under the same order is refused, as real ones do."""
        self.asked.append(purchase)
        assert self.objects.setdefault(purchase.order_id, purchase) == purchase, "same key, other request"
        if self.failures:
            raise self.failures.pop()
        return StartedPurchase(
            gateway_id=f"{self.name}_{purchase.order_id}", url=f"https://pay.example/{purchase.order_id}"
        )


@pytest.fixture
def gateway() -> ShopGateway:
    return ShopGateway()


@pytest.fixture
async def api(database_url: str, redis_url: str, gateway: ShopGateway) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url) as running:
        gateways = running.application.routed.services.gateways
        gateways.put(gateway)
        gateways.put(ShopGateway("packs-only", "nobody"))
        gateways.put(ShopGateway("saved", "us"))
        yield running


def wish(**fields: Any) -> dict[str, Any]:
    body = {"pack": "starter", "gateway": "shop", "currency": "USD", "return_url": RETURN_URL, **fields}
    return {name: value for name, value in body.items() if value is not None}


def orders_in(database_url: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM payment_orders ORDER BY id").fetchall()


async def test_an_order_is_written_at_the_price_of_the_catalogue_and_started(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, account_id = await api.user()

    made = await api.client.post(PATH, json=wish(currency="JPY"), headers={**headers, "Accept-Language": "ja"})

    assert made.status_code == 201, made.text
    (order,), (purchase,) = orders_in(database_url), gateway.asked
    assert made.json() == {"id": str(order["id"]), "url": f"https://pay.example/{order['id']}"}
    assert (order["amount_minor"], order["currency"], order["region"], order["state"]) == (1_500, "JPY", "jp", 1)
    assert (order["product"], order["product_version"], order["purpose"]) == ("starter", 1, "pack")
    assert (order["credits"], order["expires_after"].days, order["tax_inclusive"]) == (1_000_000_000, 365, True)
    assert order["gateway_id"] == f"shop_{order['id']}"
    assert (str(purchase.account_id), purchase.order_id) == (account_id, order["id"])
    assert (purchase.price.minor, purchase.price.currency, purchase.return_url) == (1_500, "JPY", RETURN_URL)
    assert purchase.language == "ja"
    assert purchase.title.startswith("スターター")
    assert (purchase.price_key, purchase.months, purchase.save_method) == ("", 0, False)


async def test_a_plan_is_sold_with_the_key_of_its_price(api: Api, gateway: ShopGateway, database_url: str) -> None:
    headers, _ = await api.user()

    made = await api.client.post(PATH, json=wish(pack=None, plan="plus", country="US"), headers=headers)

    assert made.status_code == 201, made.text
    (order,), (purchase,) = orders_in(database_url), gateway.asked
    assert (order["purpose"], order["product"], order["region"], order["expires_after"]) == ("plan", "plus", "us", None)
    assert (order["credits"], order["tax_inclusive"]) == (2_000_000_000, False)
    assert (purchase.price_key, purchase.months, purchase.tax_inclusive) == ("plus:1:us", 1, False)


@pytest.mark.parametrize(
    ("status", "ends", "answer"),
    [(0, False, 201), (1, False, 409), (1, True, 201), (2, False, 409), (3, False, 409), (4, False, 201)],
)
async def test_nobody_pays_for_a_second_plan_beside_one_that_goes_on(
    api: Api, database_url: str, status: int, ends: bool, answer: int
) -> None:
    headers, account_id = await api.user()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            INSERT INTO subscriptions (gateway, subscription_id, account_id, status, ends_at_period_end, plan,
                plan_version, region, asked_at)
            VALUES ('shop', 'sub_1', %s, %s, %s, 'plus', 1, 'us', now())
            """,
            [account_id, status, ends],
        )

    plan = await api.post(PATH, wish(pack=None, plan="pro"), headers=headers)
    pack = await api.post(PATH, wish(), headers=headers)

    assert (plan.status_code, pack.status_code) == (answer, 201)
    assert answer == 201 or (plan.json()["code"], plan.json()["plan"]) == ("already_subscribed", "plus")


async def test_a_plan_that_we_renew_has_its_means_of_payment_kept(api: Api) -> None:
    headers, _ = await api.user()
    saved = api.application.routed.services.gateways.get("saved")
    assert isinstance(saved, ShopGateway)

    await api.client.post(PATH, json=wish(pack=None, plan="plus", gateway="saved"), headers=headers)
    await api.client.post(PATH, json=wish(gateway="saved"), headers=headers)
    await api.client.post(PATH, json=wish(gateway="saved", save_method=True), headers=headers)

    assert [purchase.save_method for purchase in saved.asked] == [True, False, True]


async def test_the_same_key_and_body_are_the_same_order_and_page(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, account_id = await api.user()

    first = await api.post(PATH, wish(), key="k", headers=headers)
    again = await api.post(PATH, wish(), key="k", headers={**headers, "Accept-Language": "de"})
    other_key = await api.post(PATH, wish(), key="k2", headers=headers)
    other_body = await api.post(PATH, wish(pack="studio"), key="k", headers=headers)
    other_account = await api.post(PATH, wish(), key="k", headers=(await api.user())[0])

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len({answer.json()["id"] for answer in (first, other_key, other_account)}) == 3
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency_key_reused")
    assert len(orders_in(database_url)) == len(gateway.objects) == 3
    assert account_id == str(gateway.asked[0].account_id)


async def test_a_repeated_order_keeps_its_price_when_the_catalogue_has_changed(api: Api, gateway: ShopGateway) -> None:
    headers, _ = await api.user()
    gateway.failures.append(GatewayError("shop", "no answer", retryable=True, ambiguous=True))
    failed = await api.post(PATH, wish(), key="k", headers=headers)
    dearer = {"titles": {"en": "Dearer"}, "credits": "1", "prices": {"world": "99.00"}}
    assert (await api.client.put("/v1/packs/starter", json=dearer)).status_code == 200

    completed = await api.post(PATH, wish(), key="k", headers={**headers, "Accept-Language": "ru"})

    assert (failed.status_code, failed.json()["code"], failed.headers["Retry-After"]) == (
        503,
        "gateway_unavailable",
        "1",
    )
    assert completed.status_code == 201, completed.text
    assert len(gateway.objects) == 1
    assert [purchase.price.text for purchase in gateway.asked] == ["9.99", "9.99"]


async def test_a_crash_between_order_and_page_leaves_what_the_same_request_completes(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, _ = await api.user()
    # The object is there at the gateway, and we died before we could keep where it is.
    gateway.failures.append(RuntimeError("the process is gone"))
    crashed = await api.post(PATH, wish(), key="k", headers=headers)
    (order,) = orders_in(database_url)

    completed = await api.post(PATH, wish(), key="k", headers=headers)

    assert crashed.status_code == 500
    assert (order["state"], order["url"]) == (0, None)
    assert (completed.status_code, completed.json()["id"]) == (201, str(order["id"]))
    assert len(orders_in(database_url)) == len(gateway.objects) == 1


async def test_requests_under_one_key_at_the_same_time_are_one_order(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, _ = await api.user()

    answers = await asyncio.gather(*(api.post(PATH, wish(), key="k", headers=headers) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(orders_in(database_url)) == len(gateway.objects) == 1


async def test_an_order_that_was_never_started_is_too_old_one_day(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, _ = await api.user()
    gateway.failures.append(GatewayError("shop", "no answer", retryable=True))
    await api.post(PATH, wish(), key="k", headers=headers)
    (order,) = orders_in(database_url)
    made = (await api.get(f"{PATH}/{order['id']}", headers=headers)).json()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE payment_orders SET created_at = now() - interval '12 hours 1 second'")

    refused = await api.post(PATH, wish(), key="k", headers=headers)
    given_up = (await api.get(f"{PATH}/{order['id']}", headers=headers)).json()

    assert (refused.status_code, refused.json()["code"]) == (409, "checkout_expired")
    assert (made["state"], given_up["state"]) == ("made", "given_up")
    assert len(gateway.asked) == 1


async def test_an_order_says_how_it_stands_to_its_owner_only(api: Api, database_url: str) -> None:
    headers, account_id = await api.user()
    stranger, _ = await api.user()
    made = (await api.post(PATH, wish(), headers=headers)).json()

    started = (await api.get(f"{PATH}/{made['id']}", headers=headers)).json()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE payment_orders SET state = 2, paid_at = now()")
    paid = (await api.get(f"{PATH}/{made['id']}", headers=await api.role("finance"))).json()
    hidden = await api.get(f"{PATH}/{made['id']}", headers=stranger)
    missing = await api.get(f"{PATH}/{uuid4()}", headers=headers)

    assert (started["state"], started["url"], started["paid_at"]) == ("started", made["url"], None)
    assert started["price"] == {"amount": "9.99", "currency": "USD", "tax_inclusive": True}
    assert (started["account_id"], started["product"], started["credits"]) == (account_id, "starter", "1000")
    assert (paid["state"], paid["url"], paid["paid_at"] is not None) == ("paid", None, True)
    assert [(answer.status_code, answer.json()["code"]) for answer in (hidden, missing)] == [
        (404, "checkout_not_found")
    ] * 2


async def test_coming_back_to_the_return_url_credits_nothing(api: Api) -> None:
    headers, account_id = await api.user()
    before = (await api.get("/v1/me/balance", headers=headers)).json()
    made = (await api.post(PATH, wish(), headers=headers)).json()

    await api.get(f"{PATH}/{made['id']}", params={"paid": "true", "amount": "1000000"}, headers=headers)
    after = (await api.get(f"/v1/accounts/{account_id}/balance")).json()

    assert (after["available"], after["version"]) == (before["available"], before["version"])


async def test_a_service_buys_on_behalf_of_an_account_and_finance_does_not_buy(api: Api, database_url: str) -> None:
    service, account_id = await api.role("service"), await api.account()

    bought = await api.post(PATH, wish(account_id=account_id), headers=service)
    answers = [
        await api.post(PATH, wish(), headers=service),
        await api.post(PATH, wish(account_id=str(uuid4())), headers=service),
        await api.post(PATH, wish(account_id=account_id), headers=(await api.user())[0]),
        await api.post(PATH, wish(account_id=account_id), headers=await api.role("finance")),
    ]

    assert bought.status_code == 201
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (422, "invalid_request"),
        (404, "account_not_found"),
        (404, "account_not_found"),
        (403, "forbidden"),
    ]
    assert [str(order["account_id"]) for order in orders_in(database_url)] == [account_id]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"pack": "nothing"}, 404, "pack_not_found"),
        ({"pack": "plus"}, 404, "pack_not_found"),
        ({"pack": None, "plan": "starter"}, 404, "plan_not_found"),
        ({"pack": None}, 422, "invalid_request"),
        ({"plan": "plus"}, 422, "invalid_request"),
        ({"currency": "XTS"}, 422, "currency_not_offered"),
        ({"currency": "EUR", "country": "JP"}, 422, "currency_not_offered"),
        ({"currency": "usd"}, 422, "invalid_request"),
        ({"country": "usa"}, 422, "invalid_request"),
        ({"gateway": "nobody"}, 422, "gateway_not_configured"),
        ({"gateway": "stripe"}, 422, "gateway_not_configured"),
        ({"pack": None, "plan": "plus", "gateway": "packs-only"}, 422, "plan_not_sold_here"),
        ({"amount": "1.00"}, 422, "invalid_request"),
        ({"credits": "1000000"}, 422, "invalid_request"),
        ({"price": {"amount": "1.00", "currency": "USD"}}, 422, "invalid_request"),
        ({"return_url": "/thanks"}, 422, "invalid_request"),
        ({"return_url": "javascript:alert(1)"}, 422, "invalid_request"),
        ({"return_url": "ftp://shop.example/"}, 422, "invalid_request"),
        ({"return_url": "https://user:secret@shop.example/"}, 422, "invalid_request"),
        ({"return_url": "https://user@shop.example/"}, 422, "invalid_request"),
        ({"return_url": "https://shop.example\\@evil.example/"}, 422, "invalid_request"),
        ({"return_url": "https://shop.example/a b"}, 422, "invalid_request"),
        ({"return_url": "https://shop.example/\n"}, 422, "invalid_request"),
        ({"return_url": "https:///thanks"}, 422, "invalid_request"),
        ({"return_url": "https://shop.example/" + "a" * 2_000}, 422, "invalid_request"),
        ({"return_url": None}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_sold_leaves_no_order_behind(
    api: Api, database_url: str, fields: dict[str, Any], status: int, code: str
) -> None:
    headers, _ = await api.user()

    refused = await api.post(PATH, wish(**fields), headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert orders_in(database_url) == []


@pytest.mark.parametrize(
    "return_url",
    [
        "http://127.0.0.1:3000/thanks",
        "https://shop.example",
        "https://shop.example?done=1",
        "http://[::1]:8080/#done",
        "https://xn--bcher-kva.example/%C3%BC?a=b@c",
    ],
)
async def test_every_plain_return_url_is_taken(api: Api, return_url: str) -> None:
    headers, _ = await api.user()

    assert (await api.post(PATH, wish(return_url=return_url), headers=headers)).status_code == 201


async def test_a_gateway_that_will_not_do_it_is_not_asked_for_patience(api: Api, gateway: ShopGateway) -> None:
    headers, _ = await api.user()
    gateway.failures.append(GatewayError("shop", "account sk_live_1 does not take KWD", retryable=False))

    refused = await api.post(PATH, wish(currency="KWD"), headers=headers)

    assert (refused.status_code, refused.json()["code"], refused.json()["gateway"]) == (422, "gateway_refused", "shop")
    assert "Retry-After" not in refused.headers
    assert "sk_live" not in refused.text


async def test_the_gateway_is_told_where_the_customer_gets_messages(
    api: Api, gateway: ShopGateway, database_url: str
) -> None:
    headers, account_id = await api.user()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO account_contacts (account_id, email, locale, time_zone) VALUES (%s, %s, 'de', 'UTC')",
            [account_id, "ada@shop.example"],
        )

    await api.post(PATH, wish(), headers=headers)

    assert gateway.asked[0].email == "ada@shop.example"
