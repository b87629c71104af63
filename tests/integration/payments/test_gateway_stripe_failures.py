"""What is left when Stripe, or the way to it, fails: nothing is done twice, and errors say what is known."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec
import pytest

from tests.fakes.scripted_server import Answer, Cut, Hang, json_answer, no_answer
from tests.fakes.stripe_shop import StripeShop, payments, purchase, refunds, stripe_shop
from workers.payments.facts import PaymentStatus
from workers.payments.gateway import Declined, GatewayError
from workers.payments.gateways.stripe.gateway import StripeGateway
from workers.payments.gateways.stripe.settings import StripeSettings
from workers.payments.money import Money

BROKEN = json_answer(503, {"error": {"message": "Try again", "type": "api_error"}})
KEPT_FAILURE = json_answer(500, {"error": {"message": "Oh", "type": "api_error"}}, stripe_should_retry="false")
NOT_STRIPE = Answer(502, {"content-type": "text/html"}, (b"<html>Bad gateway</html>",))


@pytest.fixture
async def shop() -> AsyncGenerator[StripeShop]:
    async with stripe_shop(timeout_s=0.3) as made:
        yield made


@pytest.mark.parametrize("answer", [BROKEN, NOT_STRIPE, no_answer(Cut()), no_answer(Hang())], ids=lambda answer: "")
async def test_what_was_done_and_not_answered_is_answered_the_second_time(shop: StripeShop, answer: Answer) -> None:
    charge = await shop.saved()
    shop.stripe.after_acting(answer)

    fact = await shop.gateway.charge_saved(charge)

    assert fact.status is PaymentStatus.paid
    assert len([each for each in shop.stripe.all("payment_intent") if each["amount"] == 500]) == 1


async def test_every_attempt_has_the_same_key(shop: StripeShop) -> None:
    order = purchase()
    shop.stripe.after_acting(BROKEN, BROKEN)

    await shop.open(order)

    keys = [call.headers["idempotency-key"] for call in shop.stripe.calls]
    assert keys == [f"holdfast:order:{order.order_id}"] * 3
    assert len(shop.stripe.all("checkout.session")) == 1


@pytest.mark.parametrize("answer", [BROKEN, NOT_STRIPE, no_answer(Cut()), no_answer(Hang())], ids=lambda answer: "")
async def test_what_is_never_answered_may_have_been_done(shop: StripeShop, answer: Answer) -> None:
    charge = await shop.saved()
    shop.stripe.after_acting(answer, answer, answer)

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.charge_saved(charge)

    assert failed.value.retryable
    assert failed.value.ambiguous
    assert not isinstance(failed.value, Declined)
    later = await shop.gateway.charge_saved(charge)
    assert [fact.payment_id for fact in payments(await shop.hear(shop.stripe.take_webhooks()))] == [later.payment_id]


async def test_an_answer_that_stripe_says_not_to_ask_for_again_is_not(shop: StripeShop) -> None:
    charge = await shop.saved()
    calls = len(shop.stripe.calls)
    shop.stripe.after_acting(KEPT_FAILURE)

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.charge_saved(charge)

    assert failed.value.ambiguous
    assert len(shop.stripe.calls) == calls + 1


async def test_a_refund_that_was_not_answered_is_one_refund(shop: StripeShop) -> None:
    payment_id = payments(await shop.sell(purchase()))[0].payment_id
    shop.stripe.after_acting(no_answer(Cut()))

    fact = await shop.gateway.refund(payment_id, Money(600, "USD"), key="one", reason="")

    told = refunds(await shop.hear(shop.stripe.take_webhooks()))
    assert {each.refund_id for each in told} == {fact.refund_id}


async def test_a_question_that_is_not_answered_has_changed_nothing(shop: StripeShop) -> None:
    shop.stripe.script(BROKEN, BROKEN, BROKEN)

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.subscription("sub_1")

    assert failed.value.retryable
    assert not failed.value.ambiguous


async def test_too_many_calls_may_be_made_later(shop: StripeShop) -> None:
    limited = json_answer(429, {"error": {"message": "Too many requests", "code": "rate_limit", "type": "x"}})
    shop.stripe.script(limited, limited, limited)

    with pytest.raises(GatewayError) as failed:
        await shop.open(purchase())

    assert failed.value.retryable
    assert not failed.value.ambiguous


async def test_a_key_that_is_wrong_may_be_put_right_and_is_not_shown() -> None:
    async with stripe_shop() as shop:
        gateway = StripeGateway(StripeSettings(api_key="sk_live_another", base_url=shop.stripe.url))

        with pytest.raises(GatewayError) as refused:
            await gateway.start_purchase(purchase())
        await gateway.aclose()

    assert refused.value.retryable
    assert not refused.value.ambiguous
    error: BaseException | None = refused.value
    while error is not None:
        assert "sk_live_another" not in f"{error!r} {error}"
        error = error.__cause__


async def test_a_key_that_may_not_do_this_is_our_mistake_and_not_the_customers(shop: StripeShop) -> None:
    forbidden = {"message": "The provided key does not have the required permissions", "type": "invalid_request_error"}
    charge = await shop.saved()
    shop.stripe.script(json_answer(403, {"error": forbidden}))

    with pytest.raises(GatewayError) as refused:
        await shop.gateway.charge_saved(charge)

    assert not isinstance(refused.value, Declined)
    assert refused.value.retryable
    assert not refused.value.ambiguous


async def test_nobody_there_may_be_there_later() -> None:
    gateway = StripeGateway(StripeSettings(api_key="sk_test_fake", base_url="http://127.0.0.1:1"))

    with pytest.raises(GatewayError) as failed:
        await gateway.subscription("sub_1")
    await gateway.aclose()

    assert failed.value.retryable


async def test_an_answer_that_is_not_stripes_is_an_error(shop: StripeShop) -> None:
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: shop.open(purchase()),
        lambda: shop.gateway.subscription("sub_1"),
        lambda: shop.gateway.portal_url("cus_1", return_url="https://shop.example"),
        lambda: anext(shop.gateway.listed(since_us=0, until_us=1)),
    ]

    for ask in asked:
        shop.stripe.script(json_answer(200, {"hello": "there"}))
        with pytest.raises(GatewayError):
            await ask()


@pytest.mark.parametrize(
    "about",
    [
        {"id": "pi_1"},
        {"id": "pi_1", "amount": "ten", "created": 1, "currency": "usd", "status": "succeeded"},
        [],
        None,
    ],
    ids=str,
)
async def test_an_event_that_makes_no_sense_is_an_error_and_not_nothing(shop: StripeShop, about: object) -> None:
    body = json.dumps({"created": 1, "data": {"object": about}}).encode()

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.facts("payment_intent.succeeded", {}, body)

    assert not failed.value.retryable


async def test_an_amount_that_no_currency_has_is_an_error(shop: StripeShop) -> None:
    session_id = await shop.open(purchase(price=Money(5, "ISK")))
    webhook = shop.stripe.pay(session_id)[-1]
    body = webhook.body.replace(b'"amount_total":500', b'"amount_total":550')

    with pytest.raises(GatewayError):
        await shop.gateway.facts(webhook.kind, {}, body)


async def test_an_invoice_that_cannot_be_fetched_is_tried_again(shop: StripeShop) -> None:
    order = purchase(months=1, price_key="pro:1:us")
    session_id = await shop.open(order)
    webhooks = [webhook for webhook in shop.stripe.pay(session_id) if webhook.kind == "invoice.paid"]
    shop.stripe.script(BROKEN, BROKEN, BROKEN)

    with pytest.raises(GatewayError) as failed:
        await shop.hear(webhooks)

    assert failed.value.retryable
    assert [fact.status for fact in payments(await shop.hear(webhooks))] == [PaymentStatus.paid]


async def test_the_same_order_for_another_price_is_not_charged(shop: StripeShop) -> None:
    charge = await shop.saved()
    await shop.gateway.charge_saved(charge)

    with pytest.raises(GatewayError) as refused:
        await shop.gateway.charge_saved(msgspec.structs.replace(charge, price=Money(900, "USD")))

    assert not refused.value.retryable
    assert refused.value.ambiguous
