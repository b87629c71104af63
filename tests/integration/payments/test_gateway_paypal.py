"""PayPal's orders, captures and refunds, against a server that speaks its wire format."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.fakes.paypal_server import FakePayPal
from tests.fakes.scripted_server import json_answer
from tests.paypal import PRICE, bought, paypal_at, purchase, taken_in
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus, SavedMethod
from workers.payments.gateway import GatewayError, NotSupported, SavedCharge, UnknownObject
from workers.payments.gateways.paypal.gateway import PayPal
from workers.payments.gateways.paypal.reading import custom_id_of
from workers.payments.gateways.registry import GatewayNotConfigured, Gateways
from workers.payments.money import Money
from workers.settings import SettingsError


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def gateway(server: FakePayPal) -> AsyncIterator[PayPal]:
    async with paypal_at(server) as gateway:
        yield gateway


async def test_an_order_goes_to_paypal_as_documented(server: FakePayPal, gateway: PayPal) -> None:
    made = purchase(language="de-AT")
    started = await gateway.start_purchase(made)
    (call,) = server.posted
    assert (call.path, call.headers["paypal-request-id"]) == ("/v2/checkout/orders", str(made.order_id))
    assert call.body["intent"] == "CAPTURE"
    assert call.body["purchase_units"] == [
        {
            "reference_id": str(made.order_id),
            "custom_id": custom_id_of(made.order_id, made.account_id),
            "invoice_id": str(made.order_id),
            "amount": {"currency_code": "USD", "value": "10.50"},
            "description": "1,000 credits",
        }
    ]
    assert call.body["payment_source"] == {
        "paypal": {
            "experience_context": {
                "return_url": "https://app.example/paid",
                "cancel_url": "https://app.example/paid",
                "user_action": "PAY_NOW",
                "shipping_preference": "NO_SHIPPING",
                "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
                "locale": "de-DE",
            }
        }
    }
    assert started.gateway_id == server.latest_order
    assert started.url == f"https://www.sandbox.paypal.com/checkoutnow?token={server.latest_order}"


async def test_the_same_order_twice_is_one_order(server: FakePayPal, gateway: PayPal) -> None:
    made = purchase()
    assert await gateway.start_purchase(made) == await gateway.start_purchase(made)
    assert len(server.orders) == 1


@pytest.mark.parametrize(
    ("price", "value"),
    [
        (Money(100_000, "HUF"), "1000"),
        (Money(1_000, "JPY"), "1000"),
        (Money(30_000, "TWD"), "300"),
        (Money(5, "EUR"), "0.05"),
    ],
)
async def test_amounts_have_the_decimals_that_paypal_wants_and_come_back_the_same(
    server: FakePayPal, gateway: PayPal, price: Money, value: str
) -> None:
    await gateway.start_purchase(purchase(price))
    assert server.orders[server.latest_order]["purchase_units"][0]["amount"]["value"] == value
    (fact,) = await taken_in(gateway, server, server.pay()[1:])
    assert isinstance(fact, PaymentFact)
    assert fact.price == price


@pytest.mark.parametrize("price", [Money(100_050, "HUF"), Money(1, "TWD"), Money(1_000, "KWD"), Money(1_000, "KRW")])
async def test_amounts_that_paypal_cannot_take_are_not_sent(server: FakePayPal, gateway: PayPal, price: Money) -> None:
    with pytest.raises(NotSupported):
        await gateway.start_purchase(purchase(price))
    assert server.posted == []


async def test_a_title_of_any_length_and_script_fits(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase(title="クレジット" * 40))
    description = server.orders[server.latest_order]["purchase_units"][0]["description"]
    assert description
    assert len(description.encode()) <= 127
    assert "�" not in description


async def test_an_approved_order_is_captured_once_and_its_capture_is_the_payment(
    server: FakePayPal, gateway: PayPal
) -> None:
    made = purchase()
    await gateway.start_purchase(made)
    approved = server.approve()
    assert server.captures == {}
    first, second = [await taken_in(gateway, server, approved) for _ in range(2)]
    assert first == second
    (fact,) = first
    assert isinstance(fact, PaymentFact)
    assert fact == PaymentFact(
        payment_id=server.latest_capture,
        order_id=made.order_id,
        account_id=made.account_id,
        price=PRICE,
        status=PaymentStatus.paid,
        at_us=fact.at_us,
    )
    assert len(server.captures) == 1
    _, completed = server.take_webhooks()
    assert completed.kind == "PAYMENT.CAPTURE.COMPLETED"
    assert await taken_in(gateway, server, [completed]) == first


async def test_an_order_that_was_captured_before_is_read(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    approved, completed = server.pay()
    facts = await taken_in(gateway, server, [approved])
    assert len(server.captures) == 1
    assert facts == await taken_in(gateway, server, [completed])


@pytest.mark.parametrize("issue", ["INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "DUPLICATE_INVOICE_ID"])
async def test_a_capture_that_is_refused_says_nothing_and_may_be_approved_once_more(
    server: FakePayPal, gateway: PayPal, issue: str
) -> None:
    await gateway.start_purchase(purchase())
    server.capture_status = issue
    first = server.approve()
    assert await taken_in(gateway, server, first) == []
    server.capture_status = "COMPLETED"
    (fact,) = await taken_in(gateway, server, server.approve())
    assert isinstance(fact, PaymentFact)
    assert fact.status is PaymentStatus.paid
    assert len(server.captures) == 1


async def test_a_capture_that_waits_is_no_payment_until_it_is_complete(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    server.capture_status, server.capture_reason = "PENDING", "PENDING_REVIEW"
    (pending,) = await taken_in(gateway, server, server.approve())
    assert isinstance(pending, PaymentFact)
    assert (pending.status, pending.failure) == (PaymentStatus.pending, "PENDING_REVIEW")
    completed = server.complete(server.latest_capture)
    (paid,) = await taken_in(gateway, server, completed)
    assert isinstance(paid, PaymentFact)
    assert (paid.payment_id, paid.status, paid.failure) == (pending.payment_id, PaymentStatus.paid, "")


async def test_a_capture_that_is_denied_has_failed(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    server.pay(status="PENDING")
    (denied,) = await taken_in(gateway, server, server.deny(server.latest_capture))
    assert isinstance(denied, PaymentFact)
    assert denied.status is PaymentStatus.failed


async def test_an_order_of_somebody_else_at_the_same_account_is_not_captured(
    server: FakePayPal, gateway: PayPal
) -> None:
    await gateway.start_purchase(purchase())
    order = server.orders[server.latest_order]
    order["purchase_units"][0]["custom_id"] = "shop-17"
    assert await taken_in(gateway, server, server.approve()) == []
    assert server.captures == {}


async def test_a_payment_of_somebody_else_names_no_order_of_ours(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    server.orders[server.latest_order]["purchase_units"][0].pop("custom_id")
    (fact,) = await taken_in(gateway, server, server.pay()[1:])
    assert isinstance(fact, PaymentFact)
    assert (fact.order_id, fact.account_id) == (None, None)


async def test_a_body_says_only_what_to_look_at(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    _, completed = server.pay()
    raised = completed.body.replace(b'"10.50"', b'"9999.00"')
    (fact,) = await gateway.facts("PAYMENT.CAPTURE.COMPLETED", {}, raised)
    assert isinstance(fact, PaymentFact)
    assert fact.price == PRICE


@pytest.mark.parametrize("kind", ["CHECKOUT.ORDER.COMPLETED", "PAYMENT.SALE.COMPLETED", "RISK.DISPUTE.CREATED"])
async def test_other_events_are_genuine_and_say_nothing(server: FakePayPal, gateway: PayPal, kind: str) -> None:
    webhook = server.event(kind, "sale", {"id": "80021663DE681814L", "amount": {"total": "21.00", "currency": "USD"}})
    assert await taken_in(gateway, server, [webhook]) == []


async def test_what_was_announced_and_is_not_there_yet_is_asked_for_again(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    webhook = server.event("PAYMENT.CAPTURE.COMPLETED", "capture", server.captures.pop(capture_id))
    with pytest.raises(GatewayError) as failed:
        await gateway.facts(webhook.kind, webhook.headers, webhook.body)
    assert failed.value.retryable


async def test_a_refund_goes_to_paypal_once_under_its_key(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    given_back = Money(250, "USD")
    first, second = [
        await gateway.refund(capture_id, given_back, key="holdfast:refund:1", reason="requested") for _ in range(2)
    ]
    assert first == second
    assert first == RefundFact(
        refund_id=next(iter(server.refunds)),
        payment_id=capture_id,
        amount=given_back,
        status=RefundStatus.succeeded,
        at_us=first.at_us,
    )
    (webhook,) = server.take_webhooks()
    assert await taken_in(gateway, server, [webhook]) == [first]
    assert server.posted[-1].body == {
        "amount": {"currency_code": "USD", "value": "2.50"},
        "note_to_payer": "requested",
    }


async def test_a_long_key_is_still_one_key(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    for _ in range(2):
        await gateway.refund(capture_id, Money(250, "USD"), key="k" * 200, reason="")
    assert len(server.refunds) == 1


async def test_two_refunds_never_exceed_the_payment(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    await gateway.refund(capture_id, Money(630, "USD"), key="first", reason="")
    with pytest.raises(GatewayError, match="REFUND_AMOUNT_EXCEEDED") as refused:
        await gateway.refund(capture_id, Money(630, "USD"), key="second", reason="")
    assert (refused.value.retryable, refused.value.ambiguous) == (False, False)


@pytest.mark.parametrize(("fails", "status"), [(False, RefundStatus.succeeded), (True, RefundStatus.failed)])
async def test_a_refund_on_its_way_arrives_or_comes_back(
    server: FakePayPal, gateway: PayPal, fails: bool, status: RefundStatus
) -> None:
    _, capture_id = await bought(gateway, server)
    (pending,) = await taken_in(gateway, server, server.refund(capture_id, "2.50", is_pending=True))
    assert isinstance(pending, RefundFact)
    assert pending.status is RefundStatus.pending
    (done,) = await taken_in(gateway, server, server.finish_refund(pending.refund_id, fails=fails))
    assert isinstance(done, RefundFact)
    assert (done.refund_id, done.amount, done.status) == (pending.refund_id, Money(250, "USD"), status)


@pytest.mark.parametrize("payment_id", ["../../v1/oauth2/token", "", "a" * 65, "5O190127TN364715T?x=1", "NOSUCH"])
async def test_a_payment_that_paypal_cannot_know_is_unknown(
    server: FakePayPal, gateway: PayPal, payment_id: str
) -> None:
    with pytest.raises(UnknownObject):
        await gateway.refund(payment_id, Money(1, "USD"), key="key", reason="")
    assert all(call.path.startswith("/v2/payments/captures/NOSUCH/") for call in server.posted)


async def test_what_needs_a_saved_means_of_payment_is_not_supported(gateway: PayPal) -> None:
    method = SavedMethod(customer_id="c", method_id="m")
    charge = SavedCharge(order_id=uuid4(), account_id=uuid4(), title="x", price=PRICE, method=method)
    plan = purchase(price_key="pro:1:us", months=1)
    for call in (
        gateway.start_purchase(plan),
        gateway.start_purchase(purchase(save_method=True)),
        gateway.charge_saved(charge),
        gateway.subscription("I-1"),
        gateway.change_plan("I-1", plan, at_once=True),
        gateway.cancel_subscription("I-1"),
        gateway.resume_subscription("I-1"),
        gateway.portal_url("c", return_url="https://app.example"),
    ):
        with pytest.raises(NotSupported):
            await call
    assert gateway.renewed_by == "nobody"


async def test_an_order_without_a_link_cannot_be_paid(server: FakePayPal, gateway: PayPal) -> None:
    server.script(json_answer(201, {"id": "5O190127TN364715T", "status": "COMPLETED", "links": []}))
    with pytest.raises(GatewayError, match="no link"):
        await gateway.start_purchase(purchase())


async def test_paypal_is_configured_by_its_two_keys(server: FakePayPal) -> None:
    gateways = Gateways(server.environment())
    assert gateways.configured == ("paypal",)
    assert (await gateways.get("paypal").start_purchase(purchase())).gateway_id == server.latest_order
    await gateways.aclose()
    with pytest.raises(GatewayNotConfigured):
        Gateways(server.environment(PAYPAL_CLIENT_SECRET=" ")).get("paypal")
    for bad in ({"PAYPAL_BASE_URL": "paypal"}, {"PAYPAL_CERT_HOSTS": "https://api.paypal.com/"}):
        with pytest.raises(SettingsError):
            Gateways(server.environment(**bad)).get("paypal")
