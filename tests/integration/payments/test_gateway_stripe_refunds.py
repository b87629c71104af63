"""Money that goes back through Stripe: refunds and disputes."""

from collections.abc import AsyncGenerator
from itertools import permutations

import pytest

from tests.fakes.stripe_shop import StripeShop, disputes, payments, purchase, refunds, stripe_shop
from workers.payments.facts import DisputeStatus, RefundStatus
from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.money import Money


@pytest.fixture
async def shop() -> AsyncGenerator[StripeShop]:
    async with stripe_shop() as made:
        yield made


async def paid(shop: StripeShop, minor: int = 1000, currency: str = "USD") -> str:
    """Sell something, and return the payment's id."""
    return payments(await shop.sell(purchase(price=Money(minor, currency))))[0].payment_id


async def test_a_refund_is_made_once_under_its_key(shop: StripeShop) -> None:
    payment_id = await paid(shop)

    first = await shop.gateway.refund(payment_id, Money(400, "USD"), key="one", reason="goodwill")
    again = await shop.gateway.refund(payment_id, Money(400, "USD"), key="one", reason="goodwill")
    other = await shop.gateway.refund(payment_id, Money(400, "USD"), key="two", reason="duplicate")

    assert (first.payment_id, first.amount, first.status) == (payment_id, Money(400, "USD"), RefundStatus.succeeded)
    assert again == first
    assert other.refund_id != first.refund_id
    made = [(each["metadata"].get("reason"), each["reason"]) for each in shop.stripe.all("refund")]
    assert made == [("goodwill", None), (None, "duplicate")]


async def test_a_refund_is_made_once_under_its_key_long_after_stripe_has_forgotten_it(shop: StripeShop) -> None:
    payment_id = await paid(shop)
    first = await shop.gateway.refund(payment_id, Money(400, "USD"), key="one", reason="goodwill")
    shop.stripe.keeps_answers = False

    again = await shop.gateway.refund(payment_id, Money(400, "USD"), key="one", reason="goodwill")
    other = await shop.gateway.refund(payment_id, Money(400, "USD"), key="two", reason="goodwill")

    assert again == first
    assert other.refund_id != first.refund_id


async def test_more_than_is_left_cannot_be_given_back(shop: StripeShop) -> None:
    payment_id = await paid(shop)
    await shop.gateway.refund(payment_id, Money(600, "USD"), key="one", reason="")

    with pytest.raises(GatewayError) as refused:
        await shop.gateway.refund(payment_id, Money(600, "USD"), key="two", reason="")

    assert not refused.value.retryable
    assert not refused.value.ambiguous


async def test_a_payment_that_stripe_does_not_know_cannot_be_given_back(shop: StripeShop) -> None:
    with pytest.raises(UnknownObject):
        await shop.gateway.refund("pi_gone", Money(600, "USD"), key="one", reason="")


async def test_a_refund_in_a_currency_without_places_is_told_in_its_units(shop: StripeShop) -> None:
    payment_id = await paid(shop, 1000, "ISK")

    fact = await shop.gateway.refund(payment_id, Money(250, "ISK"), key="one", reason="")

    assert fact.amount == Money(250, "ISK")
    assert shop.stripe.objects[fact.refund_id]["amount"] == 25_000


async def test_every_event_tells_of_each_refund_under_its_own_id(shop: StripeShop) -> None:
    payment_id = await paid(shop)
    first = shop.stripe.refund(payment_id, 300)
    second = shop.stripe.refund(payment_id, 200)

    for events in permutations([*first, *second]):
        facts = refunds(await shop.hear(events))

        told = {fact.refund_id: (fact.payment_id, fact.amount, fact.status) for fact in facts}
        assert sorted(told.values(), key=str) == [
            (payment_id, Money(200, "USD"), RefundStatus.succeeded),
            (payment_id, Money(300, "USD"), RefundStatus.succeeded),
        ]


async def test_many_refunds_of_one_payment_are_all_found(shop: StripeShop) -> None:
    payment_id = await paid(shop, 25_000)
    for _ in range(249):
        webhooks = shop.stripe.refund(payment_id, 100)

    charge_refunded = [webhook for webhook in webhooks if webhook.kind == "charge.refunded"]  # pyright: ignore[reportPossiblyUnboundVariable] - the loop runs

    assert len({fact.refund_id for fact in refunds(await shop.hear(charge_refunded))}) == 249


async def test_a_refund_may_fail_after_it_succeeded(shop: StripeShop) -> None:
    payment_id = await paid(shop)
    made = refunds(await shop.hear(shop.stripe.refund(payment_id)))[0]

    failed = refunds(await shop.hear(shop.stripe.fail_refund(made.refund_id)))

    assert {(fact.refund_id, fact.status) for fact in failed} == {(made.refund_id, RefundStatus.failed)}


async def test_a_refund_may_take_its_time(shop: StripeShop) -> None:
    payment_id = await paid(shop)

    pending = refunds(await shop.hear(shop.stripe.refund(payment_id, status="pending")))
    done = refunds(await shop.hear(shop.stripe.finish_refund(pending[0].refund_id)))

    assert {fact.status for fact in pending} == {RefundStatus.pending}
    assert {fact.status for fact in done} == {RefundStatus.succeeded}


async def test_a_dispute_takes_the_money_until_it_is_won(shop: StripeShop) -> None:
    payment_id = await paid(shop)

    opened = disputes(await shop.hear(shop.stripe.dispute(payment_id)))
    won = disputes(await shop.hear(shop.stripe.win(opened[0].dispute_id)))

    assert [fact.status for fact in opened] == [DisputeStatus.withdrawn] * 2
    assert {fact.status for fact in won} == {DisputeStatus.won}
    assert {(fact.payment_id, fact.amount) for fact in opened + won} == {(payment_id, Money(1000, "USD"))}
    assert len({fact.dispute_id for fact in opened + won}) == 1


async def test_a_dispute_over_a_part_that_is_lost_stays_lost(shop: StripeShop) -> None:
    payment_id = await paid(shop)

    opened = disputes(await shop.hear(shop.stripe.dispute(payment_id, 400)))
    lost = disputes(await shop.hear(shop.stripe.lose(opened[0].dispute_id)))

    assert [(fact.status, fact.amount) for fact in lost] == [(DisputeStatus.lost, Money(400, "USD"))]


async def test_an_inquiry_takes_nothing_until_it_becomes_a_chargeback(shop: StripeShop) -> None:
    payment_id = await paid(shop)

    asked = disputes(await shop.hear(shop.stripe.dispute(payment_id, inquiry=True)))
    taken = disputes(await shop.hear(shop.stripe.escalate(asked[0].dispute_id)))

    assert [fact.status for fact in asked] == [DisputeStatus.opened]
    assert {fact.status for fact in taken} == {DisputeStatus.withdrawn}


async def test_an_inquiry_that_ends_has_taken_nothing(shop: StripeShop) -> None:
    payment_id = await paid(shop)
    asked = disputes(await shop.hear(shop.stripe.dispute(payment_id, inquiry=True)))

    ended = disputes(await shop.hear(shop.stripe.win(asked[0].dispute_id)))

    assert [fact.status for fact in ended] == [DisputeStatus.won]
