"""YooKassa's own SDK against what we send, what we trust and what our fake says: neither may be a fiction of ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import Any, cast

import pytest

from tests.fakes.yookassa_server import SECRET_KEY, FakeYooKassa
from tests.fakes.yookassa_shop import SENDER, SHOP_ID
from tests.yookassa_calls import a_charge, a_payment, a_purchase, a_saved_method, gateway_of, rubles
from workers.payments.gateways.yookassa.gateway import YooKassa
from workers.payments.gateways.yookassa.senders import DEFAULT_NETWORKS, parse_networks

# The SDK has no types.
sdk: Any = import_module("yookassa")
security: Any = import_module("yookassa.domain.common.security_helper")
exceptions: Any = import_module("yookassa.domain.exceptions")
notifications: Any = import_module("yookassa.domain.notification.webhook_notification")
requests: Any = import_module("yookassa.domain.request")

NOBODY = "2d8c6a9e-000f-5000-9000-1a2b3c4d5e6f"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        for name, value in {"account_id": SHOP_ID, "secret_key": SECRET_KEY, "api_url": f"{server.url}/v3"}.items():
            monkeypatch.setattr(sdk.Configuration, name, value)
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server, YOOKASSA_RECEIPT_VAT_CODE="1")
    yield gateway
    await gateway.aclose()


async def called(function: Callable[..., Any], *arguments: object) -> Any:
    return await asyncio.to_thread(function, *arguments)


def test_we_trust_the_networks_that_the_sdk_trusts() -> None:
    theirs = parse_networks("theirs", ",".join(security.SecurityHelper.YOOKASSA_NETWORKS))

    assert set(DEFAULT_NETWORKS) == set(theirs)
    assert security.SecurityHelper().is_ip_trusted(SENDER)


async def test_the_sdk_pays_and_refunds_at_our_fake(server: FakeYooKassa) -> None:
    request = {
        "amount": {"value": "100.00", "currency": "RUB"},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": "https://shop.example/"},
        "save_payment_method": True,
    }
    made = await called(sdk.Payment.create, request, "one")
    again = await called(sdk.Payment.create, request, "one")
    server.pay(made.id)
    paid = await called(sdk.Payment.find_one, made.id)
    refund = await called(
        sdk.Refund.create, {"payment_id": made.id, "amount": {"value": "40.00", "currency": "RUB"}}, "two"
    )
    listed = await called(sdk.Payment.list, {"limit": 1, "created_at.gte": "2026-01-01T00:00:00.000Z"})

    assert (made.id, made.status, made.confirmation.type) == (again.id, "pending", "redirect")
    assert made.confirmation.confirmation_url.startswith(server.url)
    assert (paid.status, paid.paid, paid.payment_method.saved, paid.payment_method.card.last4) == (
        "succeeded", True, True, "4477",
    )  # fmt: skip
    assert (refund.status, str(refund.amount.value), refund.payment_id) == ("succeeded", "40.00", made.id)
    assert [item.id for item in listed.items] == [made.id]


async def test_the_sdk_understands_the_refusals_of_our_fake(
    server: FakeYooKassa, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(exceptions.BadRequestError) as refused:
        await called(sdk.Refund.create, {"payment_id": NOBODY, "amount": {"value": "1.00", "currency": "RUB"}})
    monkeypatch.setattr(sdk.Configuration, "secret_key", "another")
    with pytest.raises(exceptions.UnauthorizedError) as unknown:
        await called(sdk.Payment.find_one, server.add_payment())

    refusal: Any = refused.value
    answer: Any = unknown.value
    assert refusal.content["parameter"] == "payment_id"
    assert answer.content["code"] == "invalid_credentials"


async def test_the_sdk_reads_the_notifications_of_our_fake(gateway: YooKassa, server: FakeYooKassa) -> None:
    factory: Any = notifications.WebhookNotificationFactory()
    payment = await a_payment(gateway, server)
    server.refund(payment.payment_id)
    server.cancel((await gateway.start_purchase(a_purchase())).gateway_id, reason="card_expired")

    read = [factory.create(json.loads(sent.body)) for sent in server.notifications]

    assert [(sent.event, sent.object.status) for sent in read] == [
        ("payment.succeeded", "succeeded"),
        ("refund.succeeded", "succeeded"),
        ("payment.canceled", "canceled"),
    ]
    assert read[0].object.metadata["order_id"] == str(payment.order_id)
    assert read[2].object.cancellation_details.reason == "card_expired"


async def test_the_sdk_would_send_what_we_send(gateway: YooKassa, server: FakeYooKassa) -> None:
    method = await a_saved_method(gateway, server)
    charged = await gateway.charge_saved(a_charge(method))
    await gateway.refund(charged.payment_id, rubles("10.00"), key="k", reason="asked for")

    for call, request in zip(
        server.created, (requests.PaymentRequest, requests.PaymentRequest, requests.RefundRequest), strict=True
    ):
        theirs: Any = request(call.body)
        theirs.validate()
        assert plain(dict(theirs)) == plain(call.body)


def plain(value: Any) -> Any:
    """Leave out what is not there, and how numbers are written."""
    match value:
        case dict():
            pairs = cast("dict[str, Any]", value)
            return {name: plain(inner) for name, inner in pairs.items() if inner not in (None, [])}
        case list() | tuple():
            return [plain(inner) for inner in cast("list[Any]", value)]
        case _:
            text = str(value)
            return float(text) if text.replace(".", "", 1).isdigit() else value
