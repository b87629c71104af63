"""PayPal's report of transactions, as reconciling reads it."""

import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from tests.fakes.paypal_objects import error
from tests.fakes.paypal_server import FakePayPal
from tests.fakes.scripted_server import json_answer
from tests.paypal import bought, paypal_at
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paypal.gateway import PayPal
from workers.payments.gateways.paypal.reading import custom_id_of
from workers.payments.money import Money

MICROS = 1_000_000
DAY_S = 86_400
JANUARY_S = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def gateway(server: FakePayPal) -> AsyncIterator[PayPal]:
    async with paypal_at(server) as gateway:
        yield gateway


async def listed(gateway: PayPal, since_s: float, until_s: float) -> list[PaymentFact | RefundFact]:
    found = gateway.listed(since_us=int(since_s * MICROS), until_us=int(until_s * MICROS))
    return [fact async for fact in found]


def searches(server: FakePayPal) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(call.path).query) for call in server.calls if call.method == "GET"]


async def test_payments_and_refunds_are_listed_under_the_ids_that_webhooks_name(
    server: FakePayPal, gateway: PayPal
) -> None:
    order_id, capture_id = await bought(gateway, server)
    server.refund(capture_id, "2.50")
    payment, refund = await listed(gateway, server.now_s - 60, server.now_s + 60)
    assert isinstance(payment, PaymentFact)
    assert isinstance(refund, RefundFact)
    assert (payment.payment_id, payment.order_id, payment.price) == (capture_id, order_id, Money(1_050, "USD"))
    assert payment.account_id is not None
    assert payment.status is PaymentStatus.paid
    assert (refund.refund_id, refund.payment_id) == (next(iter(server.refunds)), capture_id)
    assert (refund.amount, refund.status) == (Money(250, "USD"), RefundStatus.succeeded)


async def test_a_payment_that_went_back_entirely_was_paid_all_the_same(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    server.refund(capture_id)
    payment, _ = await listed(gateway, server.now_s - 60, server.now_s + 60)
    assert isinstance(payment, PaymentFact)
    assert payment.status is PaymentStatus.paid


async def test_refunds_are_listed_however_they_stand(server: FakePayPal, gateway: PayPal) -> None:
    _, capture_id = await bought(gateway, server)
    for _ in range(2):
        server.refund(capture_id, "1.00", is_pending=True)
    failed, pending = server.refunds
    server.finish_refund(failed, fails=True)
    found = await listed(gateway, server.now_s - 60, server.now_s + 60)
    statuses = {fact.refund_id: fact.status for fact in found if isinstance(fact, RefundFact)}
    assert statuses == {failed: RefundStatus.failed, pending: RefundStatus.pending}


async def test_what_is_neither_a_payment_to_us_nor_a_refund_by_us_is_left_out(
    server: FakePayPal, gateway: PayPal
) -> None:
    given = {"currency_code": "USD", "value": "5.00"}
    server.report.add("FEE", "T0106", given, at_s=JANUARY_S, is_debit=True)
    server.report.add("SENT", "T0001", given, at_s=JANUARY_S, is_debit=True)
    server.report.add("PENDING", "T0006", given, at_s=JANUARY_S, status="P")
    server.report.add("DENIED", "T0006", given, at_s=JANUARY_S, status="D")
    server.report.add("REVERSAL", "T1106", given, at_s=JANUARY_S, is_debit=True, reference_id="ANY")
    server.report.add("HOLD", "T1110", given, at_s=JANUARY_S, is_debit=True, reference_id="ANY")
    server.report.add("RECEIVED", "T1107", given, at_s=JANUARY_S, reference_id="ANY")
    assert await listed(gateway, JANUARY_S, JANUARY_S + 60) == []


async def test_times_are_from_one_up_to_another(server: FakePayPal, gateway: PayPal) -> None:
    ids = [server.plant(value="1.00", currency="USD", at_s=JANUARY_S + second) for second in range(4)]
    found = await listed(gateway, JANUARY_S + 1, JANUARY_S + 3)
    assert [fact.payment_id for fact in found] == ids[1:3]
    found = await listed(gateway, JANUARY_S + 0.5, JANUARY_S + 2.5)
    assert [fact.payment_id for fact in found] == ids[1:3]
    assert await listed(gateway, JANUARY_S + 3, JANUARY_S + 3) == []


async def test_a_year_is_searched_in_windows_of_31_days_without_gap_or_overlap(
    server: FakePayPal, gateway: PayPal
) -> None:
    edge_s = JANUARY_S + 31 * DAY_S
    ids = [server.plant(value="1.00", currency="EUR", at_s=edge_s + second) for second in (-1, 0, 1)]
    found = await listed(gateway, JANUARY_S, JANUARY_S + 300 * DAY_S)
    assert [fact.payment_id for fact in found] == ids
    assert len(searches(server)) == 10
    assert searches(server)[0]["start_date"] == ["2026-01-01T00:00:00Z"]
    assert searches(server)[0]["end_date"] == ["2026-01-31T23:59:59Z"]


async def test_a_search_that_finds_too_much_is_halved(server: FakePayPal, gateway: PayPal) -> None:
    server.report.most_lines = 100
    ids = [server.plant(value="1.00", currency="USD", at_s=JANUARY_S + 7 * number) for number in range(1_000)]
    found = await listed(gateway, JANUARY_S, JANUARY_S + 20 * DAY_S)
    assert Counter(fact.payment_id for fact in found) == Counter(ids)


async def test_a_second_that_holds_too_much_cannot_be_listed(server: FakePayPal, gateway: PayPal) -> None:
    server.report.most_lines = 1
    for _ in range(2):
        server.plant(value="1.00", currency="USD", at_s=JANUARY_S)
    with pytest.raises(GatewayError, match="RESULTSET_TOO_LARGE"):
        await listed(gateway, JANUARY_S, JANUARY_S + 1)


async def test_many_payments_are_listed_page_by_page_in_bounded_memory(server: FakePayPal, gateway: PayPal) -> None:
    custom = custom_id_of(uuid4(), uuid4())
    for number in range(12_000):
        server.plant(value="9.99", currency="USD", at_s=JANUARY_S + 60 * number, custom=custom)
    ids: set[str] = set()
    until_us = (JANUARY_S + 31 * DAY_S) * MICROS
    tracemalloc.start()
    try:
        async for fact in gateway.listed(since_us=JANUARY_S * MICROS, until_us=until_us):
            ids.add(fact.payment_id)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) == 12_000
    assert len(searches(server)) < 40
    assert peak_bytes < 16 * 1024 * 1024
    assert all(query["page_size"] == ["500"] for query in searches(server))


async def test_what_the_report_has_not_reached_yet_is_simply_not_there(server: FakePayPal, gateway: PayPal) -> None:
    server.report.delay_s = 3 * 3_600
    old = server.plant(value="1.00", currency="USD", at_s=server.now_s - 4 * 3_600)
    server.plant(value="1.00", currency="USD", at_s=server.now_s - 3_600)
    found = await listed(gateway, server.now_s - DAY_S, server.now_s)
    assert [fact.payment_id for fact in found] == [old]
    assert await listed(gateway, server.now_s - 3_600, server.now_s) == []


async def test_other_refusals_of_the_report_are_errors(server: FakePayPal, gateway: PayPal) -> None:
    server.script(error(403, "NOT_AUTHORIZED", "PERMISSION_DENIED"))
    with pytest.raises(GatewayError, match="PERMISSION_DENIED"):
        await listed(gateway, JANUARY_S, JANUARY_S + 1)


async def test_an_amount_that_cannot_be_read_is_an_error(server: FakePayPal, gateway: PayPal) -> None:
    server.report.add("ODD", "T0006", {"currency_code": "USD", "value": "1.005"}, at_s=JANUARY_S)
    with pytest.raises(GatewayError, match="transaction ODD"):
        await listed(gateway, JANUARY_S, JANUARY_S + 1)


async def test_a_search_of_endless_pages_is_not_begun(server: FakePayPal, gateway: PayPal) -> None:
    server.script(json_answer(200, {"transaction_details": [], "total_pages": 2_000_000}))
    with pytest.raises(GatewayError, match="pages"):
        await listed(gateway, JANUARY_S, JANUARY_S + 1)
