"""What PayPal's disputes and reversals take, and give back."""

import itertools
from collections.abc import AsyncIterator

import pytest

from tests.fakes.paypal_server import FakePayPal
from tests.fakes.paypal_webhooks import Webhook
from tests.paypal import PRICE, bought, paypal_at, taken_in
from workers.payments.facts import DisputeFact, DisputeStatus, Fact, RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paypal.gateway import PayPal
from workers.payments.money import Money


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def gateway(server: FakePayPal) -> AsyncIterator[PayPal]:
    async with paypal_at(server) as gateway:
        yield gateway


@pytest.fixture
async def capture_id(gateway: PayPal, server: FakePayPal) -> str:
    _, capture_id = await bought(gateway, server)
    return capture_id


async def disputed(gateway: PayPal, server: FakePayPal, *webhooks: Webhook) -> list[tuple[Money, DisputeStatus]]:
    facts = await taken_in(gateway, server, webhooks)
    assert all(isinstance(fact, DisputeFact) for fact in facts)
    return [(fact.amount, fact.status) for fact in facts if isinstance(fact, DisputeFact)]


def dispute_id(server: FakePayPal) -> str:
    return list(server.disputes)[-1]


async def test_an_inquiry_takes_nothing_and_a_claim_holds_the_money(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    opened = server.dispute(capture_id, "4.00")
    (fact,) = await taken_in(gateway, server, opened)
    assert isinstance(fact, DisputeFact)
    assert (fact.dispute_id, fact.payment_id, fact.status) == (dispute_id(server), capture_id, DisputeStatus.opened)
    claimed = await disputed(gateway, server, *server.escalate(dispute_id(server)))
    assert claimed == [(Money(400, "USD"), DisputeStatus.withdrawn)]


async def test_a_chargeback_holds_the_money_at_once(server: FakePayPal, gateway: PayPal, capture_id: str) -> None:
    opened = server.dispute(capture_id, stage="CHARGEBACK")
    assert await disputed(gateway, server, *opened) == [(PRICE, DisputeStatus.withdrawn)]


@pytest.mark.parametrize("outcome", ["RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"])
async def test_a_dispute_that_we_win_leaves_us_the_money(
    server: FakePayPal, gateway: PayPal, capture_id: str, outcome: str
) -> None:
    server.dispute(capture_id, stage="CHARGEBACK")
    resolved = server.win(dispute_id(server), outcome)
    assert await disputed(gateway, server, *resolved) == [(PRICE, DisputeStatus.won)]


async def test_a_dispute_that_we_lose_takes_what_the_customer_gets(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    server.dispute(capture_id, "4.00", stage="CHARGEBACK")
    webhooks = server.lose(dispute_id(server))
    assert [webhook.kind for webhook in webhooks] == ["PAYMENT.CAPTURE.REVERSED", "CUSTOMER.DISPUTE.RESOLVED"]
    facts = await disputed(gateway, server, *webhooks)
    assert facts == [(Money(400, "USD"), DisputeStatus.lost)] * 2


async def test_less_than_was_disputed_is_what_was_lost(server: FakePayPal, gateway: PayPal, capture_id: str) -> None:
    server.dispute(capture_id, stage="CHARGEBACK")
    server.lose(dispute_id(server))
    less = {"currency_code": "USD", "value": "3.00"}
    server.disputes[dispute_id(server)]["dispute_outcome"]["amount_refunded"] = less
    assert await disputed(gateway, server, server.sent[-1]) == [(Money(300, "USD"), DisputeStatus.lost)]


async def test_a_payout_by_paypal_leaves_us_the_money(server: FakePayPal, gateway: PayPal, capture_id: str) -> None:
    server.dispute(capture_id, stage="CHARGEBACK")
    assert await disputed(gateway, server, *server.pay_out(dispute_id(server))) == [(PRICE, DisputeStatus.won)]


async def test_an_outcome_without_a_name_is_told_by_what_moved(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    server.dispute(capture_id, stage="CHARGEBACK")
    server.lose(dispute_id(server))
    server.disputes[dispute_id(server)]["dispute_outcome"]["outcome_code"] = "NONE"
    assert await disputed(gateway, server, server.sent[-1]) == [(PRICE, DisputeStatus.lost)]


async def test_a_claim_that_we_accept_is_a_refund_and_not_taken_twice(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    server.dispute(capture_id, "4.00", stage="CHARGEBACK")
    refunded, resolved = await taken_in(gateway, server, server.accept(dispute_id(server)))
    assert isinstance(refunded, RefundFact)
    assert isinstance(resolved, DisputeFact)
    assert refunded.amount == Money(400, "USD")
    assert (resolved.amount, resolved.status) == (Money(0, "USD"), DisputeStatus.lost)


async def test_what_was_refunded_before_a_dispute_does_not_lessen_it(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    server.set_clock(server.now_s - 100)
    server.refund(capture_id, "2.00")
    server.set_clock(server.now_s + 100)
    server.dispute(capture_id, "4.00", stage="CHARGEBACK")
    server.lose(dispute_id(server))
    assert await disputed(gateway, server, server.sent[-1]) == [(Money(400, "USD"), DisputeStatus.lost)]


async def test_a_reversal_while_a_dispute_goes_on_is_that_dispute(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    server.dispute(capture_id)
    assert await disputed(gateway, server, *server.reverse(capture_id)) == [(PRICE, DisputeStatus.withdrawn)]


async def test_a_reversal_without_a_dispute_is_lost_money(server: FakePayPal, gateway: PayPal, capture_id: str) -> None:
    (webhook,) = server.reverse(capture_id)
    (fact,) = await taken_in(gateway, server, [webhook])
    assert isinstance(fact, DisputeFact)
    assert fact.dispute_id == webhook.event["resource"]["id"]
    assert (fact.payment_id, fact.amount, fact.status) == (capture_id, PRICE, DisputeStatus.lost)


async def test_a_reversal_may_be_told_as_the_capture_itself(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    webhook = server.event("PAYMENT.CAPTURE.REVERSED", "capture", server.captures[capture_id])
    (fact,) = await taken_in(gateway, server, [webhook])
    assert isinstance(fact, DisputeFact)
    assert (fact.dispute_id, fact.payment_id, fact.amount) == (capture_id, capture_id, PRICE)


async def test_the_events_of_a_dispute_say_the_same_in_any_order_once_it_is_over(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    (opened,) = server.dispute(capture_id, "4.00")
    (claimed,) = server.escalate(dispute_id(server))
    events = [opened, claimed, *server.lose(dispute_id(server))]
    said: set[tuple[Fact, ...]] = set()
    for order in itertools.permutations(events):
        said.add(tuple(await taken_in(gateway, server, order)))
    assert len({fact for facts in said for fact in facts}) == 1


async def test_a_dispute_of_several_payments_is_one_of_each(
    server: FakePayPal, gateway: PayPal, capture_id: str
) -> None:
    (webhook,) = server.dispute(capture_id, stage="CHARGEBACK")
    _, other_id = await bought(gateway, server)
    server.disputes[dispute_id(server)]["disputed_transactions"].append(
        {"seller_transaction_id": other_id, "gross_amount": {"currency_code": "USD", "value": "1.00"}}
    )
    first, second = await taken_in(gateway, server, [webhook])
    assert isinstance(first, DisputeFact)
    assert isinstance(second, DisputeFact)
    assert (first.payment_id, first.amount) == (capture_id, PRICE)
    assert (second.payment_id, second.amount) == (other_id, Money(100, "USD"))
    assert first.dispute_id != second.dispute_id


async def test_a_dispute_in_no_currency_cannot_be_read(server: FakePayPal, gateway: PayPal, capture_id: str) -> None:
    (webhook,) = server.dispute(capture_id)
    server.disputes[dispute_id(server)]["dispute_amount"]["value"] = "much"
    with pytest.raises(GatewayError, match="is not an amount"):
        await taken_in(gateway, server, [webhook])
