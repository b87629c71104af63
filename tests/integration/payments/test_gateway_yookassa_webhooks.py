"""Whose notifications are taken, and what is made of them: what YooKassa says when it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import permutations

import pytest

from tests.fakes.yookassa_server import FakeYooKassa
from tests.fakes.yookassa_shop import Notification, events, notification
from tests.yookassa_calls import (
    ACCOUNT,
    a_payment,
    a_purchase,
    gateway_of,
    new_order_id,
    payment_told,
    refund_told,
    rubles,
    told,
)
from workers.payments.facts import PaymentFact, PaymentStatus, RefundStatus
from workers.payments.gateway import GatewayError, UnknownObject, WebhookForged, WebhookMalformed
from workers.payments.gateways.yookassa.gateway import YooKassa

OBJECT_ID = "2d8c6a9e-000f-5000-9000-1a2b3c4d5e6f"
GENUINE = notification("payment.succeeded", {"id": OBJECT_ID, "status": "succeeded"}).body

TRUSTED = (
    "77.75.153.0", "77.75.153.127", "77.75.154.128", "77.75.154.255", "77.75.156.11", "77.75.156.35",
    "185.71.76.0", "185.71.76.31", "185.71.77.0", "185.71.77.31", "::ffff:77.75.153.7",
    "2a02:5180:0:1509::1", "2a02:5180:0:1533::1", "2a02:5180:0:2655::1", "2a02:5180:0:2669:ffff:ffff:ffff:ffff",
)  # fmt: skip
STRANGE = (
    "77.75.152.255", "77.75.153.128", "77.75.154.127", "77.75.156.10", "77.75.156.12", "77.75.156.36",
    "185.71.76.32", "185.71.75.255", "185.71.77.32", "2a02:5180:0:1508::1", "2a02:5180:1:1509::1",
    "::ffff:8.8.8.8", "127.0.0.1", "10.0.0.1", "", "localhost", "77.75.153.7, 10.0.0.1", "77.75.153.7:443",
    "077.75.153.7", "1296800007", "2a02:5180:0:1509::1%eth0",
)  # fmt: skip

OTHERS = {
    "stripe": {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1"}},
    },
    "paddle": {"event_id": "evt_01", "event_type": "transaction.paid", "data": {"id": "txn_01", "status": "paid"}},
    "paypal": {
        "id": "WH-1",
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {"id": "8AB"},
        "event_version": "1",
    },
}
MALFORMED = {
    "nothing": b"",
    "no JSON": b"event=payment.succeeded",
    "not UTF-8": b'{"type":"notification","event":"payment.succeeded","object":{"id":"\xff"}}',
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "no event": b'{"type":"notification","object":{"id":"x"}}',
    "no object": b'{"type":"notification","event":"payment.succeeded"}',
    "no id": b'{"type":"notification","event":"payment.succeeded","object":{}}',
    "an empty id": b'{"type":"notification","event":"payment.succeeded","object":{"id":""}}',
    "a number": b'{"type":"notification","event":"payment.succeeded","object":{"id":7}}',
    "a path": b'{"type":"notification","event":"payment.succeeded","object":{"id":"../refunds/1"}}',
    "a query": b'{"type":"notification","event":"payment.succeeded","object":{"id":"1?x=1"}}',
    "a new line": b'{"type":"notification","event":"payment.succeeded","object":{"id":"1\\n"}}',
    "a strange event": b'{"type":"notification","event":"payment","object":{"id":"1"}}',
    "another type": b'{"type":"error","event":"payment.succeeded","object":{"id":"1"}}',
}


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


@pytest.mark.parametrize("address", TRUSTED)
async def test_a_notification_from_its_networks_is_taken(gateway: YooKassa, server: FakeYooKassa, address: str) -> None:
    event = await gateway.verify({}, GENUINE, remote_address=address, now_s=0)

    assert (event.event_id, event.kind) == (f"payment.succeeded:{OBJECT_ID}", "payment.succeeded")
    assert event.object_id == OBJECT_ID
    assert not server.calls, "to verify takes no call"


@pytest.mark.parametrize("address", STRANGE)
async def test_a_notification_from_anywhere_else_is_forged(gateway: YooKassa, address: str) -> None:
    headers = {"x-forwarded-for": "77.75.153.7", "x-real-ip": "77.75.153.7"}

    with pytest.raises(WebhookForged):
        await gateway.verify(headers, GENUINE, remote_address=address, now_s=0)


async def test_other_networks_can_be_trusted_in_place_of_its_own(server: FakeYooKassa) -> None:
    gateway = gateway_of(server, YOOKASSA_TRUSTED_NETWORKS="127.0.0.1, 10.1.0.0/16,::1")

    for address in ("127.0.0.1", "10.1.255.255", "::1"):
        await gateway.verify({}, GENUINE, remote_address=address, now_s=0)
    for address in ("127.0.0.2", "10.2.0.0", "77.75.153.7"):
        with pytest.raises(WebhookForged):
            await gateway.verify({}, GENUINE, remote_address=address, now_s=0)
    await gateway.aclose()


@pytest.mark.parametrize("name", OTHERS)
async def test_what_another_gateway_sends_is_refused(gateway: YooKassa, name: str) -> None:
    with pytest.raises(WebhookMalformed):
        await gateway.verify({}, json.dumps(OTHERS[name]).encode(), remote_address="77.75.153.7", now_s=0)


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_makes_no_sense_is_refused(gateway: YooKassa, name: str) -> None:
    with pytest.raises(WebhookMalformed):
        await gateway.verify({}, MALFORMED[name], remote_address="77.75.153.7", now_s=0)


async def test_a_notification_that_comes_again_has_the_same_id(gateway: YooKassa, server: FakeYooKassa) -> None:
    started = await gateway.start_purchase(a_purchase())
    (sent,) = server.pay(started.gateway_id)
    (refunded,) = server.refund(started.gateway_id)

    ids = {(await gateway.verify({}, sent.body, remote_address=sent.remote_address, now_s=0)).event_id for _ in "12345"}

    assert ids == {f"payment.succeeded:{started.gateway_id}"}
    event = await gateway.verify({}, refunded.body, remote_address=refunded.remote_address, now_s=0)
    assert event.event_id == f"refund.succeeded:{refunded.object['id']}"


async def test_a_payment_is_a_fact_with_its_order_and_account(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase()
    started = await gateway.start_purchase(purchase)

    fact = await payment_told(gateway, server.pay(started.gateway_id))

    assert (fact.payment_id, fact.order_id, fact.account_id) == (started.gateway_id, purchase.order_id, ACCOUNT)
    assert (fact.price, fact.status, fact.tax, fact.failure) == (rubles("990.00"), PaymentStatus.paid, None, "")
    assert (fact.subscription_id, fact.period, fact.saved_method) == (None, None, None)
    assert abs(fact.at_us - server.now_us()) < 60_000_000


async def test_a_payment_that_came_to_nothing_says_why(gateway: YooKassa, server: FakeYooKassa) -> None:
    started = await gateway.start_purchase(a_purchase())

    fact = await payment_told(
        gateway, server.cancel(started.gateway_id, reason="insufficient_funds", party="payment_network")
    )

    assert (fact.status, fact.failure) == (PaymentStatus.failed, "insufficient_funds (payment_network)")


async def test_nothing_that_a_notification_claims_is_believed(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment_id = server.add_payment("10.00", metadata={"order_id": str(new_order_id())})
    lie = {**server.payments[payment_id], "amount": {"value": "99999.00", "currency": "USD"}, "metadata": {}}

    fact = await payment_told(gateway, [notification("payment.succeeded", lie)])

    assert fact.price == rubles("10.00")
    assert fact.order_id is not None


async def test_a_payment_that_is_not_paid_yet_is_asked_for_again_later(gateway: YooKassa, server: FakeYooKassa) -> None:
    # The notification has no other chance: a second one is taken for the same and dropped.
    started = await gateway.start_purchase(a_purchase())
    early = notification("payment.succeeded", server.payments[started.gateway_id])
    with pytest.raises(GatewayError, match="is pending, and not yet succeeded") as refused:
        await told(gateway, [early])
    assert refused.value.retryable

    server.pay(started.gateway_id)

    assert (await payment_told(gateway, [early])).status is PaymentStatus.paid


async def test_a_payment_that_ended_otherwise_is_what_it_is(gateway: YooKassa, server: FakeYooKassa) -> None:
    cancelled, paid = [(await gateway.start_purchase(a_purchase())).gateway_id for _ in "12"]
    server.cancel(cancelled)
    server.pay(paid)

    not_paid = await payment_told(gateway, [notification("payment.succeeded", server.payments[cancelled])])
    not_cancelled = await payment_told(gateway, [notification("payment.canceled", server.payments[paid])])

    assert not_paid.status is PaymentStatus.failed
    assert not_cancelled.status is PaymentStatus.paid


async def test_money_that_is_only_reserved_is_not_paid(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment_id = server.add_payment(paid=False)
    server.payments[payment_id]["status"] = "waiting_for_capture"

    sent = notification("payment.waiting_for_capture", server.payments[payment_id])

    assert (await payment_told(gateway, [sent])).status is PaymentStatus.pending


@pytest.mark.parametrize("event", ["payment.succeeded", "refund.succeeded"])
async def test_an_object_that_is_not_ours_is_unknown(gateway: YooKassa, event: str) -> None:
    with pytest.raises(UnknownObject):
        await told(gateway, [notification(event, {"id": OBJECT_ID, "status": "succeeded"})])


@pytest.mark.parametrize("event", ["payment_method.active", "payout.succeeded", "deal.closed"])
async def test_what_does_not_concern_us_says_nothing(gateway: YooKassa, server: FakeYooKassa, event: str) -> None:
    assert await told(gateway, [notification(event, {"id": OBJECT_ID})]) == []
    assert not server.calls


@pytest.mark.parametrize("metadata", [{}, {"order_id": "72", "account_id": "ivan"}, None])
async def test_a_payment_that_somebody_else_made_has_no_order(
    gateway: YooKassa, server: FakeYooKassa, metadata: dict[str, str] | None
) -> None:
    payment_id = server.add_payment("5.00", metadata=metadata)

    fact = await payment_told(gateway, [notification("payment.succeeded", server.payments[payment_id])])

    assert (fact.order_id, fact.account_id, fact.status) == (None, None, PaymentStatus.paid)


async def test_a_refund_is_a_fact_of_its_payment(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)

    part = await refund_told(gateway, server.refund(payment.payment_id, "90.00"))
    rest = await refund_told(gateway, server.refund(payment.payment_id))

    assert (part.payment_id, part.amount, part.status) == (payment.payment_id, rubles("90.00"), RefundStatus.succeeded)
    assert (rest.payment_id, rest.amount, rest.status) == (payment.payment_id, rubles("900.00"), RefundStatus.succeeded)
    assert part.refund_id != rest.refund_id


async def test_a_refund_that_failed_after_all_is_what_it_is(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)
    (sent,) = server.refund(payment.payment_id)
    server.fail_refund(sent.object["id"])

    assert (await refund_told(gateway, [sent])).status is RefundStatus.failed


async def test_every_order_of_one_payments_notifications_says_the_same(gateway: YooKassa, server: FakeYooKassa) -> None:
    started = await gateway.start_purchase(a_purchase())
    server.pay(started.gateway_id)
    server.refund(started.gateway_id, "90.00")
    server.refund(started.gateway_id)
    sent = server.notifications
    assert events(sent) == ["payment.succeeded", "refund.succeeded", "refund.succeeded"]

    said = [{repr(fact) for fact in await told(gateway, order)} for order in permutations(sent)]

    assert len({frozenset(facts) for facts in said}) == 1
    assert len(said[0]) == 3


async def test_a_notification_five_times_at_once_says_the_same(gateway: YooKassa, server: FakeYooKassa) -> None:
    started = await gateway.start_purchase(a_purchase())
    sent: list[Notification] = server.pay(started.gateway_id)

    facts = await asyncio.gather(*(payment_told(gateway, sent) for _ in range(5)))

    assert all(isinstance(fact, PaymentFact) and fact == facts[0] for fact in facts)
