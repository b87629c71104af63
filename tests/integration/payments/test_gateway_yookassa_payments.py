"""Purchases and charges at YooKassa: one payment for one order, however often it is asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.scripted_server import json_answer
from tests.fakes.yookassa_server import FakeYooKassa
from tests.fakes.yookassa_shop import events
from tests.yookassa_calls import (
    ACCOUNT,
    QUICK,
    RETURN_URL,
    a_charge,
    a_payment,
    a_purchase,
    a_saved_method,
    gateway_of,
    new_order_id,
    order_id_of_long_ago,
    payment_told,
    rubles,
)
from workers.payments.facts import PaymentStatus, SavedMethod
from workers.payments.gateway import Declined, Gateway, GatewayError, NotSupported
from workers.payments.gateways.yookassa import listing
from workers.payments.gateways.yookassa.gateway import YooKassa
from workers.payments.money import Money


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


async def test_a_purchase_becomes_a_payment_that_is_taken_at_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase(language="ru")

    started = await gateway.start_purchase(purchase)

    (call,) = server.calls
    assert (call.method, call.path) == ("POST", "/v3/payments")
    assert call.headers["idempotence-key"] == str(purchase.order_id)
    assert call.body == {
        "amount": {"value": "990.00", "currency": "RUB"},
        "capture": True,
        "description": "1,000 credits",
        "metadata": {"order_id": str(purchase.order_id), "account_id": str(ACCOUNT)},
        "confirmation": {"type": "redirect", "return_url": RETURN_URL, "locale": "ru_RU"},
        "save_payment_method": False,
    }
    assert started.url == server.payments[started.gateway_id]["confirmation"]["confirmation_url"]


async def test_a_plans_first_payment_saves_the_means_of_payment(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase(price_key="pro:3:ru", months=1, language="ja")

    fact = await a_payment(gateway, server, purchase)

    body = server.calls[0].body
    assert body["save_payment_method"] is True
    assert body["metadata"] == {
        "order_id": str(purchase.order_id),
        "account_id": str(ACCOUNT),
        "price_key": "pro:3:ru",
    }
    assert server.calls[0].body["confirmation"] == {"type": "redirect", "return_url": RETURN_URL, "locale": "en_US"}
    assert fact.saved_method == SavedMethod(
        customer_id=str(ACCOUNT), method_id=fact.payment_id, label="MasterCard •• 4477"
    )


async def test_a_pack_saves_it_where_that_is_asked_for(gateway: YooKassa, server: FakeYooKassa) -> None:
    assert (await a_payment(gateway, server, a_purchase(save_method=True))).saved_method is not None
    assert (await a_payment(gateway, server, a_purchase())).saved_method is None


async def test_a_purchase_asked_for_again_and_at_once_is_one_payment(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase()

    started = await asyncio.gather(*(gateway.start_purchase(purchase) for _ in range(5)))

    assert len(server.payments) == 1
    assert len({(each.gateway_id, each.url) for each in started}) == 1


async def test_who_has_paid_already_is_sent_back_at_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase()
    started = await gateway.start_purchase(purchase)
    server.pay(started.gateway_id)

    again = await gateway.start_purchase(purchase)

    assert (again.gateway_id, again.url) == (started.gateway_id, RETURN_URL)
    assert len(server.payments) == 1


async def test_an_order_whose_payment_is_over_cannot_be_started_again(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase()
    server.cancel((await gateway.start_purchase(purchase)).gateway_id)

    with pytest.raises(GatewayError, match=r"over: expired_on_confirmation \(yoo_money\)") as refused:
        await gateway.start_purchase(purchase)

    assert not refused.value.retryable


async def test_the_same_order_with_another_price_is_refused_and_may_be_there(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    order_id = new_order_id()
    await gateway.start_purchase(a_purchase(order_id))

    with pytest.raises(GatewayError, match="Idempotence key duplicated") as refused:
        await gateway.start_purchase(a_purchase(order_id, price=rubles("1.00")))

    assert (refused.value.retryable, refused.value.ambiguous) == (False, True)
    assert len(server.payments) == 1


async def test_a_long_title_is_cut_to_what_fits(gateway: YooKassa, server: FakeYooKassa) -> None:
    await gateway.start_purchase(a_purchase(title="кредитов " * 40))

    assert len(str(server.calls[0].body["description"])) == 128


async def test_amounts_have_the_places_of_their_currency(gateway: YooKassa, server: FakeYooKassa) -> None:
    for price, value in ((Money(5, "RUB"), "0.05"), (Money(1_000_000, "USD"), "10000.00"), (Money(700, "JPY"), "700")):
        fact = await a_payment(gateway, server, a_purchase(price=price))

        assert fact.price == price
        assert server.created[-1].body["amount"] == {"value": value, "currency": price.currency}


async def test_a_saved_means_of_payment_is_charged(gateway: YooKassa, server: FakeYooKassa) -> None:
    charge = a_charge(await a_saved_method(gateway, server))

    fact = await gateway.charge_saved(charge)

    assert (fact.status, fact.price) == (PaymentStatus.paid, rubles("990.00"))
    assert (fact.order_id, fact.account_id) == (charge.order_id, ACCOUNT)
    assert server.created[-1].body == {
        "amount": {"value": "990.00", "currency": "RUB"},
        "capture": True,
        "description": "Plan Pro, renewal",
        "metadata": {"order_id": str(charge.order_id), "account_id": str(ACCOUNT)},
        "payment_method_id": charge.method.method_id,
    }
    assert await payment_told(gateway, server.notifications[-1:]) == fact


async def test_a_charge_asked_for_again_and_at_once_takes_money_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    charge = a_charge(await a_saved_method(gateway, server))

    facts = await asyncio.gather(*(gateway.charge_saved(charge) for _ in range(5)))

    assert len({fact.payment_id for fact in facts}) == 1
    assert events(server.notifications) == ["payment.succeeded"] * 2  # the first one saved the method


@pytest.mark.parametrize("reason", ["insufficient_funds", "permission_revoked", "card_expired"])
async def test_a_charge_that_the_bank_refuses_is_declined(gateway: YooKassa, server: FakeYooKassa, reason: str) -> None:
    charge = a_charge(await a_saved_method(gateway, server))
    server.decline_method(charge.method.method_id, reason=reason)

    with pytest.raises(Declined, match=reason) as declined:
        await gateway.charge_saved(charge)

    assert declined.value.payment_id in server.payments
    assert not declined.value.retryable
    server.accept_method(charge.method.method_id)
    with pytest.raises(Declined, match=reason):
        await gateway.charge_saved(charge)
    assert (await gateway.charge_saved(a_charge(charge.method))).status is PaymentStatus.paid


async def test_a_means_of_payment_that_is_gone_is_declined(gateway: YooKassa, server: FakeYooKassa) -> None:
    method = await a_saved_method(gateway, server)
    server.forget_method(method.method_id)

    with pytest.raises(Declined, match="payment_method_id") as declined:
        await gateway.charge_saved(a_charge(method))

    assert declined.value.payment_id is None


async def test_a_charge_may_stay_pending_for_a_while(gateway: YooKassa, server: FakeYooKassa) -> None:
    # With a receipt before the payment, YooKassa waits for the cash register.
    method = await a_saved_method(gateway, server)
    payment_id = server.add_payment(paid=False)
    server.script(json_answer(200, server.payments[payment_id]))

    assert (await gateway.charge_saved(a_charge(method))).status is PaymentStatus.pending


async def test_a_charge_repeated_after_the_key_was_forgotten_takes_nothing_again(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    method = await a_saved_method(gateway, server)
    charge = a_charge(method, order_id_of_long_ago(hours=30))
    first = await gateway.charge_saved(charge)
    server.advance(hours=25)

    again = await gateway.charge_saved(charge)

    assert again == first
    assert len(server.payments) == 2


async def test_a_purchase_repeated_after_the_key_was_forgotten_is_the_same_payment(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    purchase = a_purchase(order_id_of_long_ago(hours=23.5))
    first = await gateway.start_purchase(purchase)
    server.advance(hours=25)

    assert await gateway.start_purchase(purchase) == first
    assert len(server.payments) == 1


async def test_a_clock_that_is_behind_ours_hides_no_payment(gateway: YooKassa, server: FakeYooKassa) -> None:
    order_id = order_id_of_long_ago(hours=30)
    made_us = listing.made_at_us(order_id)
    assert made_us is not None
    earlier = server.add_payment(at_us=made_us - 300_000_000, metadata={"order_id": str(order_id)})

    assert (await gateway.start_purchase(a_purchase(order_id))).gateway_id == earlier


async def test_an_old_order_that_was_never_charged_is_charged(gateway: YooKassa, server: FakeYooKassa) -> None:
    method = await a_saved_method(gateway, server)
    for _ in range(250):
        server.add_payment(metadata={"order_id": str(new_order_id())})

    fact = await gateway.charge_saved(a_charge(method, order_id_of_long_ago(hours=24)))

    assert fact.status is PaymentStatus.paid


async def test_an_old_order_among_too_many_payments_is_left_alone(
    gateway: YooKassa, server: FakeYooKassa, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_SEARCHED_PAGES", 2)
    method = await a_saved_method(gateway, server)
    for _ in range(250):
        server.add_payment()

    with pytest.raises(GatewayError, match="too long"):
        await gateway.charge_saved(a_charge(method, order_id_of_long_ago(hours=24)))

    assert len(server.created) == 1, "only the payment that saved the method"


async def test_what_yookassa_cannot_do_is_not_supported(gateway: YooKassa, server: FakeYooKassa) -> None:
    for asked in (
        gateway.subscription("sub"),
        gateway.change_plan("sub", a_purchase(), at_once=True),
        gateway.cancel_subscription("sub"),
        gateway.resume_subscription("sub"),
        gateway.portal_url("customer", return_url=RETURN_URL),
    ):
        with pytest.raises(NotSupported):
            await asked
    assert not server.calls


async def test_it_is_one_of_our_gateways(gateway: YooKassa) -> None:
    it: Gateway = gateway

    assert (it.name, it.renewed_by) == ("yookassa", "us")
    assert QUICK.tries > 1
