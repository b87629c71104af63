"""Listing what Stripe took and gave back, for reconciliation; and how quick events are read."""

import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from tests.fakes.stripe_shop import StripeShop, payments, plan, purchase, refunds, stripe_shop, subscriptions
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact
from workers.payments.money import Money

DAY_S = 24 * 3600
FIRST_S = 1_780_000_000


@pytest.fixture
async def shop() -> AsyncGenerator[StripeShop]:
    async with stripe_shop() as made:
        yield made


async def listed(shop: StripeShop, since_s: float, until_s: float) -> list[PaymentFact | RefundFact]:
    """Everything between two times."""
    return [
        fact async for fact in shop.gateway.listed(since_us=int(since_s * 1_000_000), until_us=int(until_s * 1_000_000))
    ]


def ours() -> dict[str, str]:
    """The metadata of a payment for one of our orders."""
    return {"order_id": str(uuid4()), "account_id": str(uuid4())}


async def test_what_was_paid_and_given_back_is_listed_as_its_events_told_it(shop: StripeShop) -> None:
    begin = time.time() - 60
    told = await shop.sell(purchase())
    told += await shop.sell(plan())
    told += await shop.hear(shop.stripe.renew(subscriptions(told)[0].subscription_id))
    told += await shop.hear(shop.stripe.refund(payments(told)[0].payment_id, 300))
    shop.stripe.decline_once(await shop.open(purchase()))

    facts = await listed(shop, begin, time.time() + 60)

    def known(fact: PaymentFact) -> tuple[object, ...]:
        return (fact.payment_id, fact.order_id, fact.account_id, fact.price, fact.status, fact.subscription_id)

    assert Counter(known(fact) for fact in payments(facts)) == Counter({known(fact) for fact in payments(told)})
    assert {fact.period for fact in payments(facts)} == {fact.period for fact in payments(told)}
    assert Counter(refunds(facts)) == Counter(set(refunds(told)))


async def test_a_list_begins_with_a_time_and_ends_before_another(shop: StripeShop) -> None:
    made = [
        shop.stripe.add_paid(100 + n, "usd", ours(), created=FIRST_S + offset)
        for n, offset in enumerate([-1, 0, 1, 9, 10, 11])
    ]

    facts = await listed(shop, FIRST_S, FIRST_S + 10)
    later = await listed(shop, FIRST_S - 0.5, FIRST_S + 9.5)

    assert [fact.payment_id for fact in payments(facts)] == [each["id"] for each in reversed(made[1:4])]
    assert [fact.payment_id for fact in payments(later)] == [each["id"] for each in reversed(made[1:4])]


async def test_everything_is_listed_once_over_many_pages(shop: StripeShop) -> None:
    made = [shop.stripe.add_paid(100 + n, "usd", ours(), created=FIRST_S + n % 7) for n in range(350)]
    for intent in made[:250]:
        shop.stripe.start_refund(intent, 50)

    facts = await listed(shop, FIRST_S, time.time() + 60)

    assert Counter(fact.payment_id for fact in payments(facts)) == Counter(each["id"] for each in made)
    assert Counter(fact.payment_id for fact in refunds(facts)) == Counter(each["id"] for each in made[:250])
    assert {fact.amount for fact in refunds(facts)} == {Money(50, "USD")}


async def test_money_that_is_not_for_an_order_is_listed_without_one(shop: StripeShop) -> None:
    shop.stripe.add_paid(700, "usd", created=FIRST_S)
    shop.stripe.add_paid(800, "usd", created=FIRST_S + 1, customer=shop.stripe.add_customer()["id"])

    facts = payments(await listed(shop, FIRST_S, FIRST_S + 10))

    assert [(fact.price, fact.order_id, fact.account_id) for fact in facts] == [
        (Money(800, "USD"), None, None),
        (Money(700, "USD"), None, None),
    ]


async def test_invoices_cost_one_list_for_each_day_and_not_a_call_for_each(shop: StripeShop) -> None:
    told = await shop.sell(plan())
    for _ in range(20):
        told += await shop.hear(shop.stripe.renew(subscriptions(told)[0].subscription_id))
    calls = len(shop.stripe.calls)

    facts = payments(await listed(shop, time.time() - 60, time.time() + 60))

    assert len(facts) == 21
    assert {fact.subscription_id for fact in facts} == {subscriptions(told)[0].subscription_id}
    assert len(shop.stripe.calls) - calls == 3


async def test_an_invoice_paid_long_after_it_was_made_is_still_found(shop: StripeShop) -> None:
    told = await shop.sell(plan())
    shop.stripe.clock = lambda: time.time() + 3 * DAY_S
    payment = shop.stripe.all("invoice_payment")[0]
    late = shop.stripe.add_paid(2000, "usd", customer=shop.stripe.objects[payment["invoice"]]["customer"])
    payment["payment"]["payment_intent"] = late["id"]

    facts = payments(await listed(shop, time.time() + DAY_S, time.time() + 4 * DAY_S))

    assert [(fact.payment_id, fact.subscription_id) for fact in facts] == [
        (late["id"], subscriptions(told)[0].subscription_id)
    ]


async def test_taxes_on_top_are_listed_too() -> None:
    async with stripe_shop(STRIPE_AUTOMATIC_TAX="1") as shop:
        await shop.sell(purchase(tax_inclusive=False), tax=190)

        (fact,) = payments(await listed(shop, time.time() - 60, time.time() + 60))

    assert (fact.price, fact.tax) == (Money(1190, "USD"), Money(190, "USD"))


async def test_a_long_list_is_not_kept_in_memory(shop: StripeShop) -> None:
    for n in range(1500):
        shop.stripe.add_paid(100, "usd", ours(), created=FIRST_S + n)
    await listed(shop, FIRST_S, FIRST_S + 150)

    tracemalloc.start()
    count = 0
    async for fact in shop.gateway.listed(since_us=FIRST_S * 1_000_000, until_us=(FIRST_S + 1500) * 1_000_000):
        count += isinstance(fact, PaymentFact) and fact.status is PaymentStatus.paid
        shop.stripe.calls.clear()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 1500
    assert peak_bytes < 8_000_000


async def test_events_that_need_no_call_are_read_far_quicker_than_they_come(shop: StripeShop) -> None:
    webhooks = shop.stripe.pay(await shop.open(purchase()))
    assert len(webhooks) == 2
    calls = len(shop.stripe.calls)
    begin = time.process_time()

    for _ in range(500):
        await shop.hear(webhooks)

    assert time.process_time() - begin < 1
    assert len(shop.stripe.calls) == calls
