"""From a checkout over the gateway's own server and webhooks to credits, and back: the same for every gateway."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from ledger.errors import Contended
from tests.api_in_process import Api
from tests.customers import Customer
from tests.ledger_state import check_everything
from tests.payments import CREDIT
from tests.tills import NAMES, Delivery, Till
from workers.payments.facts import RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.processing import InboxProcessor
from workers.payments.refunding import NotRefundable, RefundUnsettled, refund

PACK = 1_000 * CREDIT


class Buyer(Customer):
    """A customer who buys packs."""

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


@pytest.fixture
async def buyer(till_api: Api, till: Till, database_url: str) -> AsyncIterator[Buyer]:
    async with Buyer.new(till_api, till, database_url) as buyer:
        yield buyer


async def test_a_payment_told_five_times_in_parallel_is_credited_once(buyer: Buyer) -> None:
    order_id, gateway_id = await buyer.order()
    assert await buyer.state(order_id) == "started"
    assert set(await buyer.deliver(buyer.till.pay(gateway_id), times=5)) == {200}
    await buyer.settle()
    assert buyer.account().available == PACK
    assert await buyer.state(order_id) == "paid"
    assert buyer.rows("SELECT id FROM payment_inbox WHERE state <> 1") == []


async def test_every_order_of_a_payments_webhooks_leads_to_one_state(buyer: Buyer) -> None:
    _, gateway_id = await buyer.order()
    sent = buyer.till.pay(gateway_id)
    await buyer.deliver(sent)
    await buyer.settle()
    payment_id = buyer.rows("SELECT payment_id FROM payments WHERE command_key IS NOT NULL")[0][0]
    sent += buyer.till.refund(payment_id, "1.00")
    await buyer.deliver(sent)
    await buyer.settle()
    expected = buyer.account()
    assert 0 < expected.available < PACK
    orders = list(itertools.permutations(sent))
    for order in orders[:: max(1, len(orders) // 4)]:
        # The same events anew, as if nothing had been heard of them: what is settled stays as it is.
        buyer.rows("DELETE FROM payment_inbox RETURNING id")
        for delivery in order:
            await buyer.deliver([delivery])
            await InboxProcessor(buyer.context).work()
        await buyer.settle()
        assert buyer.account().version == expected.version


@pytest.mark.parametrize("place", range(3))
async def test_in_any_order_from_the_beginning_a_payment_and_its_refund_come_to_the_same(
    buyer: Buyer, place: int
) -> None:
    _, gateway_id = await buyer.order()
    sent = buyer.till.pay(gateway_id)
    payment_id = payment_of(buyer, sent)
    sent += buyer.till.refund(payment_id, "1.00")
    orders = list(itertools.permutations(sent))
    for delivery in orders[place * (len(orders) - 1) // 2]:
        await buyer.deliver([delivery])
        await InboxProcessor(buyer.context).work()
    await buyer.settle()
    (row,) = buyer.rows("SELECT amount_minor FROM payments WHERE command_key IS NOT NULL")
    assert buyer.account().available == PACK - PACK * 100 // row[0]


async def test_a_webhook_before_our_order_is_committed_is_credited_once_it_is(buyer: Buyer) -> None:
    order_id, gateway_id = await buyer.order()
    (row,) = buyer.rows("DELETE FROM payment_orders WHERE id = %s RETURNING to_jsonb(payment_orders)", order_id)
    await buyer.deliver(buyer.till.pay(gateway_id))
    await buyer.settle()
    assert buyer.account().available == 0
    insert = (
        "INSERT INTO payment_orders SELECT * FROM jsonb_populate_record(NULL::payment_orders, %s::jsonb) RETURNING id"
    )
    buyer.rows(insert, json.dumps(row[0]))
    await buyer.settle()
    assert buyer.account().available == PACK


async def test_the_return_url_and_the_webhook_seventy_milliseconds_apart_are_one_credit(buyer: Buyer) -> None:
    order_id, gateway_id = await buyer.order()
    sent = buyer.till.pay(gateway_id)

    async def customer_comes_back() -> set[str]:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + 0.14
        states: set[str] = set()
        while loop.time() < ends_s:
            states.add(await buyer.state(order_id))
        return states

    async def gateway_tells() -> None:
        await asyncio.sleep(0.07)  # the two ways really differ so
        await buyer.deliver(sent, times=2)
        await buyer.settle()

    states, _ = await asyncio.gather(customer_comes_back(), gateway_tells())
    assert states <= {"started", "paid"}
    assert await buyer.state(order_id) == "paid"
    assert buyer.account().available == PACK


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
    buyer: Buyer, change: str, reason: str
) -> None:
    order_id, gateway_id = await buyer.order()
    parameters = [UUID(await buyer.api.account(None))] if "%s" in change else []
    buyer.rows(f"UPDATE payment_orders SET {change} WHERE id = %s RETURNING id", *parameters, order_id)
    await buyer.deliver(buyer.till.pay(gateway_id))
    await buyer.settle()
    assert {account.available for account in check_everything(buyer.url)} == {0}
    assert buyer.rows("SELECT reason FROM payment_mismatches") == [(reason,)]


async def test_what_is_forged_or_another_gateways_is_refused(buyer: Buyer) -> None:
    _, gateway_id = await buyer.order()
    (delivery, *_) = buyer.till.pay(gateway_id)
    stranger = httpx.ASGITransport(buyer.api.application, client=("203.0.113.9", 443))  # pyright: ignore[reportArgumentType] - an ASGI application
    unsigned = {name: value for name, value in delivery.headers.items() if name.lower() == "content-type"}
    body = delivery.body + b" "
    async with httpx.AsyncClient(transport=stranger, base_url="http://api") as client:
        for headers in (unsigned, {**delivery.headers}):
            answer = await client.post(f"/webhooks/{buyer.till.name}", content=body, headers=headers)
            assert answer.status_code == 400, answer.text
    for other in NAMES:
        if other != buyer.till.name:
            answer = await buyer.door.post(f"/webhooks/{other}", content=delivery.body, headers=delivery.headers)
            assert answer.status_code in {400, 404}, answer.text
    assert buyer.rows("SELECT id FROM payment_inbox") == []


async def test_a_chargeback_takes_everything_and_winning_gives_it_again(buyer: Buyer) -> None:
    payment_id = await buyer.buy()
    await buyer.deliver(buyer.till.charge_back(payment_id), times=2)
    await buyer.settle()
    assert buyer.account().available == 0
    won = buyer.till.win()
    if won:
        await buyer.deliver(won, times=2)
        await buyer.settle()
        assert buyer.account().available == PACK


async def test_refunds_one_after_the_other_take_all_of_it_and_no_more(buyer: Buyer) -> None:
    payment_id = await buyer.buy()
    await buyer.deliver(buyer.till.refund(payment_id, "3.33"))
    await buyer.settle()
    assert 0 < buyer.account().available < PACK
    await buyer.deliver(buyer.till.refund(payment_id))
    await buyer.settle()
    account = buyer.account()
    assert (account.available, account.reversed) == (0, PACK)


async def test_two_refunds_of_sixty_percent_at_once_never_exceed_the_payment(buyer: Buyer) -> None:
    payment_id = await buyer.buy()
    ((minor,),) = buyer.rows("SELECT amount_minor FROM payments WHERE payment_id = %s", payment_id)
    part = minor * 6 // 10

    async def give_back(key: str) -> RefundFact | None:
        try:
            return await refund(buyer.context, buyer.till.name, payment_id, part, key=key, reason="asked for")
        except GatewayError:
            return None

    given = [fact for fact in await asyncio.gather(give_back("one"), give_back("two")) if fact is not None]
    assert len(given) == 1
    assert buyer.account().reversed == PACK * part // minor
    again = [await give_back(key) for key in ("one", "two")]
    assert [fact.refund_id for fact in again if fact is not None] in ([given[0].refund_id], [])
    await buyer.settle()
    assert buyer.account().reversed == PACK * part // minor


async def test_no_more_is_given_back_than_is_left(buyer: Buyer) -> None:
    payment_id = await buyer.buy()
    with pytest.raises(NotRefundable):
        await refund(buyer.context, buyer.till.name, "another", None, key="none", reason="asked for")
    with pytest.raises(NotRefundable):
        await refund(buyer.context, buyer.till.name, payment_id, 10**9, key="much", reason="asked for")
    assert buyer.account().available == PACK


async def test_money_that_went_back_before_its_credits_is_told_and_the_same_key_takes_them(
    buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = await buyer.buy()

    async def give_back() -> RefundFact:
        return await refund(buyer.context, buyer.till.name, payment_id, None, key="one", reason="asked for")

    async def is_away(*_: object) -> None:
        raise Contended("the database is unreachable")

    with monkeypatch.context() as patched:
        patched.setattr("workers.payments.refunding.settle", is_away)
        with pytest.raises(RefundUnsettled, match="was given back as") as raised:
            await give_back()
    assert buyer.account().available == PACK
    again = await give_back()

    assert again.refund_id == raised.value.fact.refund_id
    await buyer.settle()
    assert (buyer.account().available, buyer.account().reversed) == (0, PACK)


def payment_of(buyer: Buyer, sent: list[Delivery]) -> str:
    """The gateway's id of the payment that these webhooks are about."""
    match buyer.till.name:
        case "stripe":
            found = [json.loads(each.body)["data"]["object"] for each in sent]
            return next(thing["id"] for thing in found if thing["object"] == "payment_intent")
        case "paypal":
            return json.loads(sent[-1].body)["resource"]["id"]
        case "paddle":
            return json.loads(sent[-1].body)["data"]["id"]
        case _:
            return json.loads(sent[-1].body)["object"]["id"]
