"""Everything that YooKassa has from a stretch of time, page by page."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes.scripted_server import json_answer
from tests.fakes.yookassa_objects import internal_error
from tests.fakes.yookassa_server import FakeYooKassa
from tests.yookassa_calls import a_purchase, gateway_of, new_order_id, rubles
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError
from workers.payments.gateways.yookassa.gateway import YooKassa

DAY_US = 86_400_000_000
BEGIN_US = 1_790_000_000_000_000
END_US = BEGIN_US + DAY_US


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


async def all_of(gateway: YooKassa, since_us: int = BEGIN_US, until_us: int = END_US) -> list[PaymentFact | RefundFact]:
    return [fact async for fact in gateway.listed(since_us=since_us, until_us=until_us)]


async def test_all_that_was_paid_and_refunded_is_listed_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    paid = {
        server.add_payment(
            f"{number + 1}.00", at_us=BEGIN_US + number * 1_000_000, metadata={"order_id": str(new_order_id())}
        )
        for number in range(230)
    }
    for number in range(50):
        server.add_payment(at_us=BEGIN_US + number * 1_000_000 + 500_000, paid=False)
    since_us = server.now_us() - DAY_US
    for payment_id in sorted(paid)[:120]:
        server.refund(payment_id, "0.50")

    payments = [fact for fact in await all_of(gateway) if isinstance(fact, PaymentFact)]
    refunds = await all_of(gateway, since_us, since_us + 2 * DAY_US)

    assert len(payments) == 230
    assert {fact.payment_id for fact in payments} == paid
    assert all(fact.status is PaymentStatus.paid and fact.order_id is not None for fact in payments)
    assert {fact.price.minor for fact in payments} == {100 * (number + 1) for number in range(230)}
    assert {fact.refund_id for fact in refunds if isinstance(fact, RefundFact)} == set(server.refunds)
    assert len(refunds) == 120


async def test_the_time_begins_with_its_first_moment_and_ends_before_its_last(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    first, last = (server.add_payment(at_us=at_us) for at_us in (BEGIN_US, END_US - 1_000))
    for at_us in (BEGIN_US - 1_000, END_US):
        server.add_payment(at_us=at_us)

    assert {fact.payment_id for fact in await all_of(gateway)} == {first, last}


async def test_times_between_milliseconds_divide_payments_as_whole_ones(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    payment_id = server.add_payment(at_us=BEGIN_US)

    assert not await all_of(gateway, BEGIN_US + 1, END_US)
    assert not await all_of(gateway, BEGIN_US - 5_000, BEGIN_US)
    for since_us, until_us in ((BEGIN_US, BEGIN_US + 1), (BEGIN_US - 1, BEGIN_US + 1)):
        assert [fact.payment_id for fact in await all_of(gateway, since_us, until_us)] == [payment_id]


async def test_pages_are_asked_for_only_when_they_are_needed(gateway: YooKassa, server: FakeYooKassa) -> None:
    for number in range(350):
        server.add_payment(at_us=BEGIN_US + number * 1_000_000)

    async with aclosing(gateway.listed(since_us=BEGIN_US, until_us=END_US)) as facts:
        for _ in range(100):
            await anext(facts)
        asked_for_a_hundred = len(server.calls)
        await anext(facts)
        asked_for_one_more = len(server.calls)

    assert (asked_for_a_hundred, asked_for_one_more) == (1, 2)
    assert dict(parse_qsl(urlsplit(server.calls[0].path).query)) == {
        "created_at.gte": "2026-09-21T14:13:20.000Z",
        "created_at.lt": "2026-09-22T14:13:20.000Z",
        "limit": "100",
        "status": "succeeded",
    }


async def test_a_page_that_fails_is_asked_for_again(gateway: YooKassa, server: FakeYooKassa) -> None:
    for number in range(150):
        server.add_payment(at_us=BEGIN_US + number * 1_000_000)
    server.script(internal_error())

    assert len(await all_of(gateway)) == 150


async def test_a_list_that_breaks_off_is_an_error_and_not_a_short_list(gateway: YooKassa, server: FakeYooKassa) -> None:
    for number in range(150):
        server.add_payment(at_us=BEGIN_US + number * 1_000_000)

    async with aclosing(gateway.listed(since_us=BEGIN_US, until_us=END_US)) as facts:
        for _ in range(100):
            await anext(facts)
        server.script(*[internal_error() for _ in range(5)])
        with pytest.raises(GatewayError, match="500"):
            await anext(facts)


async def test_a_list_that_goes_round_in_circles_is_an_error(gateway: YooKassa, server: FakeYooKassa) -> None:
    page: dict[str, object] = {"type": "list", "items": [], "next_cursor": "again"}
    server.script(*[json_answer(200, page) for _ in range(5)])

    with pytest.raises(GatewayError, match="circles"):
        await all_of(gateway)


async def test_refunds_are_listed_however_they_ended(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment_id = server.add_payment("100.00")
    server.refunds_wait = True
    waiting, failed = [
        (await gateway.refund(payment_id, rubles("10.00"), key=key, reason="")).refund_id for key in ("a", "b")
    ]
    server.fail_refund(failed)
    server.refund(payment_id, "5.00")

    listed = await all_of(gateway, server.now_us() - DAY_US, server.now_us() + DAY_US)

    statuses = {fact.refund_id: fact.status for fact in listed if isinstance(fact, RefundFact)}
    assert statuses[waiting] is RefundStatus.pending
    assert statuses[failed] is RefundStatus.failed
    assert list(statuses.values()).count(RefundStatus.succeeded) == 1


async def test_what_is_listed_is_what_is_told(gateway: YooKassa, server: FakeYooKassa) -> None:
    purchase = a_purchase()
    server.pay((await gateway.start_purchase(purchase)).gateway_id)

    (listed,) = await all_of(gateway, server.now_us() - DAY_US, server.now_us() + DAY_US)

    assert isinstance(listed, PaymentFact)
    assert listed.order_id == purchase.order_id
