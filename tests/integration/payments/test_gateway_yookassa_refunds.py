"""Refunds at YooKassa, and the receipts that Russian law wants with payments and refunds."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tests.fakes.yookassa_server import FakeYooKassa
from tests.fakes.yookassa_shop import events
from tests.yookassa_calls import (
    a_charge,
    a_payment,
    a_purchase,
    a_saved_method,
    gateway_of,
    refund_told,
    rubles,
)
from workers.payments.facts import RefundStatus
from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.gateways.yookassa.gateway import YooKassa

KEY = "holdfast:refund:" + "x" * 120


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


@pytest.fixture
async def receipting(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    """Of a seller under Russian law."""
    server.requires_receipts = True
    gateway = gateway_of(server, YOOKASSA_RECEIPT_VAT_CODE="4")
    yield gateway
    await gateway.aclose()


async def test_a_refund_gives_back_what_was_asked_for(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)

    fact = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="asked for by the customer")

    assert (fact.payment_id, fact.amount, fact.status) == (payment.payment_id, rubles("90.00"), RefundStatus.succeeded)
    assert server.created[-1].body == {
        "payment_id": payment.payment_id,
        "amount": {"value": "90.00", "currency": "RUB"},
        "description": "asked for by the customer",
        "metadata": {"key_sha256": hashlib.sha256(KEY.encode()).hexdigest()},
    }
    assert await refund_told(gateway, server.notifications[-1:]) == fact


async def test_a_refund_asked_for_again_and_at_once_gives_back_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)

    facts = await asyncio.gather(
        *(gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="") for _ in range(5))
    )

    assert len(server.refunds) == 1
    assert all(fact == facts[0] for fact in facts)


async def test_a_refund_asked_for_again_after_a_day_gives_back_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)
    first = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")
    server.advance(hours=25)

    again = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")
    other = await gateway.refund(payment.payment_id, rubles("90.00"), key="other", reason="")

    assert again == first
    assert sorted(server.refunds) == sorted((first.refund_id, other.refund_id))


async def test_another_key_is_another_refund(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)

    for key in (KEY, KEY + "2", "short"):
        await gateway.refund(payment.payment_id, rubles("90.00"), key=key, reason="")

    assert len(server.refunds) == 3
    assert server.payments[payment.payment_id]["refunded_amount"]["value"] == "270.00"


async def test_two_refunds_of_sixty_percent_at_once_never_exceed_the_payment(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    payment = await a_payment(gateway, server, a_purchase(price=rubles("100.00")))

    outcomes = await asyncio.gather(
        *(gateway.refund(payment.payment_id, rubles("60.00"), key=key, reason="") for key in ("a", "b")),
        return_exceptions=True,
    )

    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, GatewayError)]
    assert (refused.retryable, refused.ambiguous) == (False, False)
    assert len(server.refunds) == 1


async def test_a_refund_may_take_time_and_fail(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)
    server.refunds_wait = True

    fact = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")
    server.fail_refund(fact.refund_id)
    later = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")

    assert (fact.status, later.status) == (RefundStatus.pending, RefundStatus.failed)
    assert later.refund_id == fact.refund_id


async def test_a_refund_that_took_time_tells_when_it_arrives(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)
    server.refunds_wait = True
    fact = await gateway.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")
    assert events(server.notifications) == ["payment.succeeded"]

    arrived = await refund_told(gateway, server.finish_refund(fact.refund_id))

    assert (arrived.refund_id, arrived.status) == (fact.refund_id, RefundStatus.succeeded)


async def test_what_was_not_paid_is_not_refunded(gateway: YooKassa, receipting: YooKassa, server: FakeYooKassa) -> None:
    started = await receipting.start_purchase(a_purchase())

    with pytest.raises(GatewayError, match="illegal status"):
        await gateway.refund(started.gateway_id, rubles("1.00"), key=KEY, reason="")
    with pytest.raises(UnknownObject):
        await receipting.refund("nobody-knows-it", rubles("1.00"), key=KEY, reason="")


async def test_a_payment_goes_with_its_receipt_where_the_law_wants_one(
    receipting: YooKassa, server: FakeYooKassa
) -> None:
    await a_payment(receipting, server, a_purchase(title="1 000 кредитов"))

    assert server.receipts == [
        {
            "customer": {"email": "buyer@example.com"},
            "items": [
                {
                    "description": "1 000 кредитов",
                    "quantity": "1.000",
                    "measure": "piece",
                    "amount": {"value": "990.00", "currency": "RUB"},
                    "vat_code": 4,
                    "payment_subject": "service",
                    "payment_mode": "full_payment",
                }
            ],
        }
    ]


async def test_no_receipt_and_no_address_go_where_the_law_wants_none(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server, a_purchase(email=""))
    await gateway.refund(payment.payment_id, rubles("1.00"), key=KEY, reason="")
    await a_payment(gateway, server, a_purchase(email="buyer@example.com"))

    assert not server.receipts
    assert all(b"buyer@example.com" not in call.raw_body for call in server.calls)


async def test_an_order_without_an_address_cannot_have_a_receipt(receipting: YooKassa, server: FakeYooKassa) -> None:
    method = await a_saved_method(receipting, server)
    asked = len(server.calls)

    with pytest.raises(GatewayError, match="no e-mail address") as refused:
        await receipting.start_purchase(a_purchase(email=""))
    with pytest.raises(GatewayError, match="no e-mail address"):
        await receipting.charge_saved(a_charge(method, email=""))

    assert not refused.value.retryable
    assert len(server.calls) == asked, "nothing was asked for"


async def test_a_renewal_goes_with_a_receipt_too(receipting: YooKassa, server: FakeYooKassa) -> None:
    await receipting.charge_saved(a_charge(await a_saved_method(receipting, server)))

    assert [item_of(receipt)["description"] for receipt in server.receipts] == ["1,000 credits", "Plan Pro, renewal"]


async def test_a_part_goes_back_with_a_receipt_to_the_same_address(receipting: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(receipting, server, a_purchase(title="x" * 300))

    for _ in "12":
        await receipting.refund(payment.payment_id, rubles("90.00"), key=KEY, reason="")

    assert len(server.refunds) == 1
    sold, returned = server.receipts
    assert returned["customer"] == sold["customer"] == {"email": "buyer@example.com"}
    assert item_of(returned) == {**item_of(sold), "amount": {"value": "90.00", "currency": "RUB"}}


async def test_for_a_whole_payment_yookassa_makes_the_receipt_of_the_refund(
    receipting: YooKassa, server: FakeYooKassa
) -> None:
    payment = await a_payment(receipting, server)

    first = await receipting.refund(payment.payment_id, payment.price, key=KEY, reason="")
    again = await receipting.refund(payment.payment_id, payment.price, key=KEY, reason="")

    assert first == again
    assert len(server.receipts) == 1


async def test_a_part_of_a_payment_without_an_address_is_not_refunded_without_a_receipt(
    receipting: YooKassa, server: FakeYooKassa
) -> None:
    payment_id = server.add_payment("100.00")

    with pytest.raises(GatewayError, match="no e-mail address"):
        await receipting.refund(payment_id, rubles("10.00"), key=KEY, reason="")

    assert not server.refunds


def item_of(receipt: dict[str, Any]) -> dict[str, Any]:
    (item,) = cast("list[dict[str, Any]]", receipt["items"])
    return item
