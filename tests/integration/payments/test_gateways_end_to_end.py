"""From a checkout over the gateway's own server and webhooks to credits, and back: the same for every gateway."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from ledger.account import Account
from tests.api_in_process import Api, api_in_process
from tests.ledger_state import check_everything
from tests.payments import CREDIT
from tests.tills import Delivery, Till, till_of
from workers.payments.context import PaymentContext
from workers.payments.facts import RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.processing import InboxProcessor
from workers.payments.refunding import NotRefundable, refund

GATEWAYS = ("stripe", "yookassa", "paddle", "paypal")
PACK = 1_000 * CREDIT


@pytest.fixture(params=GATEWAYS)
async def till(request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    async with till_of(request.param) as till:
        yield till


@pytest.fixture
async def api(database_url: str, redis_url: str, till: Till) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url, **till.environment) as api:
        yield api


class Shop:
    """A customer at our API, and the gateway's door to it."""

    def __init__(self, api: Api, till: Till, url: str) -> None:
        self.api, self.till, self.url = api, till, url
        services = api.application.routed.services
        self.context = PaymentContext(services.database, services.writer, services.gateways)
        transport = httpx.ASGITransport(api.application, client=(till.sends_from, 443))  # pyright: ignore[reportArgumentType] - an ASGI application
        self.door = httpx.AsyncClient(transport=transport, base_url="http://api")
        self.headers: dict[str, str] = {}
        self.account_id = ""

    async def open(self) -> None:
        self.headers, self.account_id = await self.api.user(await self.api.account(None))

    async def order(self) -> tuple[str, str]:
        """Order the starter pack; return our id of the order, and the gateway's of what is to be paid."""
        body = {"pack": "starter", "gateway": self.till.name, "currency": self.till.currency}
        body["return_url"] = "https://shop.example/thanks"
        answer = await self.api.client.post("/v1/checkouts", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        order_id = answer.json()["id"]
        (row,) = self.rows("SELECT gateway_id FROM payment_orders WHERE id = %s", order_id)
        return order_id, row[0]

    async def deliver(self, deliveries: Iterable[Delivery], *, times: int = 1) -> list[int]:
        """Deliver all of them at once, so many times each."""
        path = f"/webhooks/{self.till.name}"
        answers = await asyncio.gather(
            *(
                self.door.post(path, content=delivery.body, headers=delivery.headers)
                for delivery in deliveries
                for _ in range(times)
            )
        )
        return [answer.status_code for answer in answers]

    async def settle(self) -> None:
        """Process all that was delivered; what was put off is due at once."""
        for _ in range(4):
            self.rows("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0 RETURNING id")
            await asyncio.gather(*(InboxProcessor(self.context).work() for _ in range(2)))

    async def buy(self) -> str:
        """Buy the pack and return the gateway's id of the payment."""
        _, gateway_id = await self.order()
        assert set(await self.deliver(self.till.pay(gateway_id))) == {200}
        await self.settle()
        (row,) = self.rows("SELECT payment_id FROM payments WHERE command_key IS NOT NULL ORDER BY created_at DESC")[:1]
        return row[0]

    async def state(self, order_id: str) -> str:
        answer = await self.api.client.get(f"/v1/checkouts/{order_id}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["state"]

    def account(self) -> Account:
        (account,) = [found for found in check_everything(self.url) if found.id == UUID(self.account_id)]
        return account

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, parameters).fetchall()  # pyright: ignore[reportArgumentType] - a test's own SQL

    async def open_another(self) -> UUID:
        return UUID(await self.api.account(None))


@pytest.fixture
async def shop(api: Api, till: Till, database_url: str) -> AsyncIterator[Shop]:
    shop = Shop(api, till, database_url)
    await shop.open()
    async with shop.door:
        yield shop


async def test_a_payment_told_five_times_in_parallel_is_credited_once(shop: Shop) -> None:
    order_id, gateway_id = await shop.order()
    assert await shop.state(order_id) == "started"
    assert set(await shop.deliver(shop.till.pay(gateway_id), times=5)) == {200}
    await shop.settle()
    assert shop.account().available == PACK
    assert await shop.state(order_id) == "paid"
    assert shop.rows("SELECT id FROM payment_inbox WHERE state <> 1") == []


async def test_every_order_of_a_payments_webhooks_leads_to_one_state(shop: Shop) -> None:
    _, gateway_id = await shop.order()
    sent = shop.till.pay(gateway_id)
    await shop.deliver(sent)
    await shop.settle()
    payment_id = shop.rows("SELECT payment_id FROM payments WHERE command_key IS NOT NULL")[0][0]
    sent += shop.till.refund(payment_id, "1.00")
    await shop.deliver(sent)
    await shop.settle()
    expected = shop.account()
    assert 0 < expected.available < PACK
    orders = list(itertools.permutations(sent))
    for order in orders[:: max(1, len(orders) // 4)]:
        # The same events anew, as if nothing had been heard of them: what is settled stays as it is.
        shop.rows("DELETE FROM payment_inbox RETURNING id")
        for delivery in order:
            await shop.deliver([delivery])
            await InboxProcessor(shop.context).work()
        await shop.settle()
        assert shop.account().version == expected.version


@pytest.mark.parametrize("place", range(3))
async def test_in_any_order_from_the_beginning_a_payment_and_its_refund_come_to_the_same(
    shop: Shop, place: int
) -> None:
    _, gateway_id = await shop.order()
    sent = shop.till.pay(gateway_id)
    payment_id = payment_of(shop, sent)
    sent += shop.till.refund(payment_id, "1.00")
    orders = list(itertools.permutations(sent))
    for delivery in orders[place * (len(orders) - 1) // 2]:
        await shop.deliver([delivery])
        await InboxProcessor(shop.context).work()
    await shop.settle()
    (row,) = shop.rows("SELECT amount_minor FROM payments WHERE command_key IS NOT NULL")
    assert shop.account().available == PACK - PACK * 100 // row[0]


async def test_a_webhook_before_our_order_is_committed_is_credited_once_it_is(shop: Shop) -> None:
    order_id, gateway_id = await shop.order()
    (row,) = shop.rows("DELETE FROM payment_orders WHERE id = %s RETURNING to_jsonb(payment_orders)", order_id)
    await shop.deliver(shop.till.pay(gateway_id))
    await shop.settle()
    assert shop.account().available == 0
    insert = (
        "INSERT INTO payment_orders SELECT * FROM jsonb_populate_record(NULL::payment_orders, %s::jsonb) RETURNING id"
    )
    shop.rows(insert, json.dumps(row[0]))
    await shop.settle()
    assert shop.account().available == PACK


async def test_the_return_url_and_the_webhook_seventy_milliseconds_apart_are_one_credit(shop: Shop) -> None:
    order_id, gateway_id = await shop.order()
    sent = shop.till.pay(gateway_id)

    async def customer_comes_back() -> set[str]:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + 0.14
        states: set[str] = set()
        while loop.time() < ends_s:
            states.add(await shop.state(order_id))
        return states

    async def gateway_tells() -> None:
        await asyncio.sleep(0.07)  # the two ways really differ so
        await shop.deliver(sent, times=2)
        await shop.settle()

    states, _ = await asyncio.gather(customer_comes_back(), gateway_tells())
    assert states <= {"started", "paid"}
    assert await shop.state(order_id) == "paid"
    assert shop.account().available == PACK


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("amount_minor = amount_minor + 1", "amount"),
        ("currency = 'SEK'", "currency"),
        ("account_id = %s", "account"),
        ("gateway = 'another'", "order"),
    ],
)
async def test_money_that_does_not_fit_our_order_is_listed_and_credits_nothing(
    shop: Shop, change: str, reason: str
) -> None:
    order_id, gateway_id = await shop.order()
    parameters = [await shop.open_another()] if "%s" in change else []
    shop.rows(f"UPDATE payment_orders SET {change} WHERE id = %s RETURNING id", *parameters, order_id)
    await shop.deliver(shop.till.pay(gateway_id))
    await shop.settle()
    assert {account.available for account in check_everything(shop.url)} == {0}
    assert shop.rows("SELECT reason FROM payment_mismatches") == [(reason,)]


async def test_what_is_forged_or_another_gateways_is_refused(shop: Shop) -> None:
    _, gateway_id = await shop.order()
    (delivery, *_) = shop.till.pay(gateway_id)
    stranger = httpx.ASGITransport(shop.api.application, client=("203.0.113.9", 443))  # pyright: ignore[reportArgumentType] - an ASGI application
    unsigned = {name: value for name, value in delivery.headers.items() if name.lower() == "content-type"}
    body = delivery.body + b" "
    async with httpx.AsyncClient(transport=stranger, base_url="http://api") as client:
        for headers in (unsigned, {**delivery.headers}):
            answer = await client.post(f"/webhooks/{shop.till.name}", content=body, headers=headers)
            assert answer.status_code == 400, answer.text
    for other in GATEWAYS:
        if other != shop.till.name:
            answer = await shop.door.post(f"/webhooks/{other}", content=delivery.body, headers=delivery.headers)
            assert answer.status_code in {400, 404}, answer.text
    assert shop.rows("SELECT id FROM payment_inbox") == []


async def test_a_chargeback_takes_everything_and_winning_gives_it_again(shop: Shop) -> None:
    payment_id = await shop.buy()
    await shop.deliver(shop.till.charge_back(payment_id), times=2)
    await shop.settle()
    assert shop.account().available == 0
    won = shop.till.win()
    if won:
        await shop.deliver(won, times=2)
        await shop.settle()
        assert shop.account().available == PACK


async def test_refunds_one_after_the_other_take_all_of_it_and_no_more(shop: Shop) -> None:
    payment_id = await shop.buy()
    await shop.deliver(shop.till.refund(payment_id, "3.33"))
    await shop.settle()
    assert 0 < shop.account().available < PACK
    await shop.deliver(shop.till.refund(payment_id))
    await shop.settle()
    account = shop.account()
    assert (account.available, account.reversed) == (0, PACK)


async def test_two_refunds_of_sixty_percent_at_once_never_exceed_the_payment(shop: Shop) -> None:
    payment_id = await shop.buy()
    ((minor,),) = shop.rows("SELECT amount_minor FROM payments WHERE payment_id = %s", payment_id)
    part = minor * 6 // 10

    async def give_back(key: str) -> RefundFact | None:
        try:
            return await refund(shop.context, shop.till.name, payment_id, part, key=key, reason="asked for")
        except GatewayError:
            return None

    given = [fact for fact in await asyncio.gather(give_back("one"), give_back("two")) if fact is not None]
    assert len(given) == 1
    assert shop.account().reversed == PACK * part // minor
    again = [await give_back(key) for key in ("one", "two")]
    assert [fact.refund_id for fact in again if fact is not None] in ([given[0].refund_id], [])
    await shop.settle()
    assert shop.account().reversed == PACK * part // minor


async def test_no_more_is_given_back_than_is_left(shop: Shop) -> None:
    payment_id = await shop.buy()
    with pytest.raises(NotRefundable):
        await refund(shop.context, shop.till.name, "another", None, key="none", reason="asked for")
    with pytest.raises(NotRefundable):
        await refund(shop.context, shop.till.name, payment_id, 10**9, key="much", reason="asked for")
    assert shop.account().available == PACK


def payment_of(shop: Shop, sent: list[Delivery]) -> str:
    """The gateway's id of the payment that these webhooks are about."""
    match shop.till.name:
        case "stripe":
            found = [json.loads(each.body)["data"]["object"] for each in sent]
            return next(thing["id"] for thing in found if thing["object"] == "payment_intent")
        case "paypal":
            return json.loads(sent[-1].body)["resource"]["id"]
        case "paddle":
            return json.loads(sent[-1].body)["data"]["id"]
        case _:
            return json.loads(sent[-1].body)["object"]["id"]
