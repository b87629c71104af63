"""Packs and saved cards at Stripe: what is asked for, and what its events say about a payment."""

import re
from collections.abc import AsyncIterator
from itertools import permutations
from urllib.parse import parse_qs

import msgspec
import pytest

from tests.fakes.stripe_shop import StripeShop, payments, purchase, stripe_shop
from workers.payments.facts import PaymentStatus
from workers.payments.gateway import Declined, GatewayError, UnknownObject
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money


@pytest.fixture
async def shop() -> AsyncIterator[StripeShop]:
    async with stripe_shop() as made:
        yield made


async def test_a_pack_is_paid_on_a_page_that_knows_the_order(shop: StripeShop) -> None:
    order = purchase(language="de", email="ada@example.com")

    started = await shop.gateway.start_purchase(order)

    session = shop.stripe.objects[started.gateway_id]
    assert started.url == session["url"]
    assert session["mode"] == "payment"
    assert session["amount_total"] == 1000
    assert session["currency"] == "usd"
    assert session["locale"] == "de"
    assert session["customer_email"] == "ada@example.com"
    assert session["metadata"] == {"order_id": str(order.order_id), "account_id": str(order.account_id)}
    asked = shop.stripe.asked_for[started.gateway_id]
    assert asked["line_items"][0]["price_data"]["tax_behavior"] == "inclusive"
    assert asked["line_items"][0]["price_data"]["product_data"]["name"] == "1,000 credits"
    assert asked["adaptive_pricing"] == {"enabled": "false"}


async def test_starting_an_order_again_makes_no_second_page(shop: StripeShop) -> None:
    order = purchase()

    first, second = await shop.gateway.start_purchase(order), await shop.gateway.start_purchase(order)

    assert first == second
    assert len(shop.stripe.all("checkout.session")) == 1


async def test_an_order_that_changed_meanwhile_is_refused(shop: StripeShop) -> None:
    order = purchase()
    await shop.gateway.start_purchase(order)

    with pytest.raises(GatewayError) as refused:
        await shop.gateway.start_purchase(msgspec.structs.replace(order, price=Money(1, "USD")))

    assert not refused.value.retryable


async def test_every_event_of_a_payment_tells_of_the_same_payment(shop: StripeShop) -> None:
    order = purchase()
    session_id = await shop.open(order)
    webhooks = shop.stripe.pay(session_id)

    assert [webhook.kind for webhook in webhooks] == ["payment_intent.succeeded", "checkout.session.completed"]
    for order_of_events in permutations(webhooks):
        facts = payments(await shop.hear(order_of_events))

        assert {fact.payment_id for fact in facts} == {shop.stripe.objects[session_id]["payment_intent"]}
        assert {fact.order_id for fact in facts} == {order.order_id}
        assert {fact.account_id for fact in facts} == {order.account_id}
        assert {fact.price for fact in facts} == {Money(1000, "USD")}
        assert {fact.status for fact in facts} == {PaymentStatus.paid}


async def test_events_of_a_payment_are_taken_at_their_word(shop: StripeShop) -> None:
    session_id = await shop.open(purchase())
    webhooks = shop.stripe.pay(session_id)
    calls = len(shop.stripe.calls)

    await shop.hear(webhooks)

    assert len(shop.stripe.calls) == calls


async def test_a_transfer_is_paid_only_when_it_has_arrived(shop: StripeShop) -> None:
    session_id = await shop.open(purchase())

    pending = payments(await shop.hear(shop.stripe.pay_later(session_id)))
    settled = payments(await shop.hear(shop.stripe.settle_later(session_id)))

    assert [fact.status for fact in pending] == [PaymentStatus.pending]
    assert {fact.status for fact in settled} == {PaymentStatus.paid}
    assert {fact.payment_id for fact in pending + settled} == {shop.stripe.objects[session_id]["payment_intent"]}


async def test_a_transfer_that_never_arrives_has_failed(shop: StripeShop) -> None:
    session_id = await shop.open(purchase())
    shop.stripe.pay_later(session_id)

    failed = payments(await shop.hear(shop.stripe.fail_later(session_id)))

    assert {fact.status for fact in failed} == {PaymentStatus.failed}


async def test_a_card_that_was_declined_can_be_followed_by_another(shop: StripeShop) -> None:
    session_id = await shop.open(purchase())

    declined = payments(await shop.hear(shop.stripe.decline_once(session_id)))
    paid = payments(await shop.hear(shop.stripe.pay(session_id)))

    assert [fact.status for fact in declined] == [PaymentStatus.failed]
    assert declined[0].failure == "insufficient_funds: Your card was declined."
    assert {fact.status for fact in paid} == {PaymentStatus.paid}
    assert {fact.payment_id for fact in declined + paid} == {paid[0].payment_id}


async def test_a_payment_that_is_not_for_an_order_of_ours_says_nothing(shop: StripeShop) -> None:
    foreign = shop.stripe.add_intent(700, "usd", metadata={"order_id": "1234"})
    shop.stripe.attempt(foreign, shop.stripe.add_method())

    assert await shop.hear(shop.stripe.take_webhooks()) == []


async def test_a_payment_to_an_account_connected_to_ours_says_nothing(shop: StripeShop) -> None:
    shop.stripe.pay(await shop.open(purchase()))
    events = [event for event in shop.stripe.events if event["type"] in shop.stripe.enabled_events]  # pyright: ignore[reportOperatorIssue] - it is set

    webhooks = [shop.stripe.signed({**event, "account": "acct_other"}) for event in events]

    assert len(webhooks) == 2
    assert await shop.hear(webhooks) == []


async def test_taxes_on_top_are_told_apart_by_every_event() -> None:
    async with stripe_shop(STRIPE_AUTOMATIC_TAX="1") as shop:
        facts = payments(await shop.sell(purchase(tax_inclusive=False), tax=190))

    assert [(fact.price, fact.tax) for fact in facts] == [(Money(1190, "USD"), Money(190, "USD"))] * 2


async def test_taxes_inside_a_price_leave_it_as_it_is() -> None:
    async with stripe_shop(STRIPE_AUTOMATIC_TAX="1") as shop:
        facts = payments(await shop.sell(purchase(), tax=160))

    assert [(fact.price, fact.tax) for fact in facts] == [(Money(1000, "USD"), Money(160, "USD"))] * 2


@pytest.mark.parametrize(
    ("price", "at_stripe"),
    [
        (Money(500, "JPY"), 500),
        (Money(5120, "KWD"), 5120),
        (Money(500, "ISK"), 50_000),
        (Money(7, "UGX"), 700),
        (Money(50_000, "MGA"), 500),
        (Money(1045, "HUF"), 1045),
    ],
    ids=str,
)
async def test_every_currency_is_asked_for_in_stripes_units(shop: StripeShop, price: Money, at_stripe: int) -> None:
    order = purchase(price=price)
    session_id = await shop.open(order)

    facts = payments(await shop.hear(shop.stripe.pay(session_id)))

    assert shop.stripe.objects[session_id]["amount_total"] == at_stripe
    assert {fact.price for fact in facts} == {price}


@pytest.mark.parametrize("price", [Money(5124, "KWD"), Money(50_001, "MGA")], ids=str)
async def test_a_price_that_stripe_cannot_take_exactly_is_not_asked_for(shop: StripeShop, price: Money) -> None:
    with pytest.raises(GatewayError) as refused:
        await shop.open(purchase(price=price))

    assert not refused.value.retryable
    assert shop.stripe.calls == []


async def test_a_card_is_saved_only_where_that_was_asked_for(shop: StripeShop) -> None:
    plain = payments(await shop.sell(purchase()))
    saving = payments(await shop.sell(purchase(save_method=True)))

    assert [fact.saved_method for fact in plain] == [None, None]
    for fact in saving:
        assert fact.saved_method is not None
        assert fact.saved_method.label == "Visa •• 4242"
        assert fact.saved_method.method_id in {method["id"] for method in shop.stripe.methods()}
        assert fact.saved_method.customer_id.startswith("cus_")
    assert len({fact.payment_id for fact in saving}) == 1


async def test_a_saved_card_is_charged_and_told_of_under_the_same_id(shop: StripeShop) -> None:
    charge = await shop.saved()

    fact = await shop.gateway.charge_saved(charge)

    assert fact.status is PaymentStatus.paid
    assert (fact.order_id, fact.account_id, fact.price) == (charge.order_id, charge.account_id, charge.price)
    told = payments(await shop.hear(shop.stripe.take_webhooks()))
    assert [(each.payment_id, each.status) for each in told] == [(fact.payment_id, PaymentStatus.paid)]


async def test_charging_for_the_same_order_again_takes_nothing_more(shop: StripeShop) -> None:
    charge = await shop.saved()

    facts = [await shop.gateway.charge_saved(charge) for _ in range(3)]

    assert len({fact.payment_id for fact in facts}) == 1
    assert len([each for each in shop.stripe.all("payment_intent") if each["amount"] == 500]) == 1


async def test_a_saved_card_that_declines_says_which_payment_failed(shop: StripeShop) -> None:
    charge = await shop.saved()
    shop.stripe.decline(charge.method.method_id, "expired_card")

    with pytest.raises(Declined) as declined:
        await shop.gateway.charge_saved(charge)

    told = payments(await shop.hear(shop.stripe.take_webhooks()))
    assert [(each.payment_id, each.status) for each in told] == [(declined.value.payment_id, PaymentStatus.failed)]
    assert told[0].order_id == charge.order_id


async def test_a_decline_stays_one_for_its_order(shop: StripeShop) -> None:
    charge = await shop.saved()
    shop.stripe.decline(charge.method.method_id)
    with pytest.raises(Declined) as first:
        await shop.gateway.charge_saved(charge)
    shop.stripe.accept(charge.method.method_id)

    with pytest.raises(Declined) as second:
        await shop.gateway.charge_saved(charge)

    assert second.value.payment_id == first.value.payment_id


async def test_a_card_that_stripe_does_not_know_cannot_be_charged(shop: StripeShop) -> None:
    charge = await shop.saved()
    forgotten = msgspec.structs.replace(charge.method, method_id="pm_gone")

    with pytest.raises(UnknownObject):
        await shop.gateway.charge_saved(msgspec.structs.replace(charge, method=forgotten))


async def test_the_portal_is_a_page_of_the_customer(shop: StripeShop) -> None:
    charge = await shop.saved()

    url = await shop.gateway.portal_url(charge.method.customer_id, return_url="https://shop.example/account")

    assert re.fullmatch(r"https://billing\.stripe\.com/p/session/bps_\w+", url)
    assert parse_qs(shop.stripe.calls[-1].raw_body.decode())["return_url"] == ["https://shop.example/account"]


async def test_the_gateway_is_there_where_its_key_is(shop: StripeShop) -> None:
    gateways = Gateways(shop.stripe.environment)
    try:
        assert gateways.configured == ("stripe",)
        assert gateways.get("stripe").name == "stripe"
        assert gateways.get("stripe").renewed_by == "gateway"
        assert gateways.get("stripe") is gateways.get("stripe")
    finally:
        await gateways.aclose()
