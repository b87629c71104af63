"""Plans at Stripe: from the first payment to the end."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import msgspec
import pytest

from tests.fakes.stripe_shop import PRICE_KEY, StripeShop, payments, plan, stripe_shop, subscriptions
from workers.payments.facts import PaymentStatus, Period, SubscriptionStatus
from workers.payments.gateway import Declined, GatewayError, NotSupported, UnknownObject
from workers.payments.money import Money


def period_of(shop: StripeShop, subscription_id: str) -> Period:
    """The current period, as Stripe has it."""
    item = shop.stripe.objects[subscription_id]["items"]["data"][0]
    return Period(item["current_period_start"] * 1_000_000, item["current_period_end"] * 1_000_000)


@pytest.fixture
async def shop() -> AsyncGenerator[StripeShop]:
    async with stripe_shop() as made:
        yield made


async def test_a_plan_is_paid_on_a_page_that_repeats(shop: StripeShop) -> None:
    order = plan(months=3, save_method=True)

    session_id = await shop.open(order)

    asked = shop.stripe.asked_for[session_id]
    assert asked["mode"] == "subscription"
    assert asked["line_items"][0]["price_data"]["recurring"] == {"interval": "month", "interval_count": "3"}
    known = {"order_id": str(order.order_id), "account_id": str(order.account_id), "price_key": PRICE_KEY}
    assert asked["metadata"] == asked["subscription_data"]["metadata"] == known


async def test_the_first_payment_of_a_plan_has_one_id_whichever_event_tells_it(shop: StripeShop) -> None:
    order = plan()
    session_id = await shop.open(order)
    webhooks = shop.stripe.pay(session_id)

    facts = await shop.hear(webhooks)

    told = payments(facts)
    invoice = shop.stripe.objects[shop.stripe.objects[session_id]["invoice"]]
    subscription_id = shop.stripe.objects[session_id]["subscription"]
    assert len(told) == 2
    assert {fact.payment_id for fact in told} == {shop.stripe.intent_of_invoice(invoice)["id"]}
    assert {fact.order_id for fact in told} == {order.order_id}
    assert {fact.account_id for fact in told} == {order.account_id}
    assert {fact.price for fact in told} == {Money(2000, "USD")}
    assert {fact.status for fact in told} == {PaymentStatus.paid}
    assert {fact.subscription_id for fact in told} == {subscription_id}
    assert {fact.period for fact in told} == {period_of(shop, subscription_id)}
    for fact in subscriptions(facts):
        assert fact.status is SubscriptionStatus.active
        assert (fact.order_id, fact.account_id, fact.price_key) == (order.order_id, order.account_id, PRICE_KEY)
        assert fact.period == period_of(shop, subscription_id)
        assert fact.saved_method is not None
        assert fact.saved_method.label == "Visa •• 4242"


async def test_a_renewal_is_for_the_next_period_and_for_no_order(shop: StripeShop) -> None:
    order = plan()
    subscription_id = await shop.subscribed(order)
    first = period_of(shop, subscription_id)

    facts = await shop.hear(shop.stripe.renew(subscription_id))

    (renewal,) = payments(facts)
    assert (renewal.order_id, renewal.account_id) == (None, order.account_id)
    assert renewal.status is PaymentStatus.paid
    assert renewal.subscription_id == subscription_id
    assert renewal.period is not None
    assert renewal.period.begins_us == first.ends_us
    assert renewal.period == period_of(shop, subscription_id)
    assert subscriptions(facts)[-1].period == renewal.period


async def test_a_renewal_that_fails_is_past_due_until_it_is_collected(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    method_id = shop.stripe.objects[subscription_id]["default_payment_method"]
    shop.stripe.decline(method_id)

    failed = await shop.hear(shop.stripe.renew(subscription_id))
    shop.stripe.accept(method_id)
    collected = await shop.hear(shop.stripe.collect_again(subscription_id))

    assert [fact.status for fact in payments(failed)] == [PaymentStatus.failed]
    assert payments(failed)[0].failure == "insufficient_funds: Your card was declined."
    assert subscriptions(failed)[-1].status is SubscriptionStatus.past_due
    assert [fact.status for fact in payments(collected)] == [PaymentStatus.paid]
    assert payments(collected)[0].payment_id == payments(failed)[0].payment_id
    assert subscriptions(collected)[-1].status is SubscriptionStatus.active


async def test_an_event_of_a_failure_that_was_overcome_says_that_it_is_paid(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    method_id = shop.stripe.objects[subscription_id]["default_payment_method"]
    shop.stripe.decline(method_id)
    failure = shop.stripe.renew(subscription_id)
    shop.stripe.accept(method_id)
    shop.stripe.collect_again(subscription_id)

    late = await shop.hear(failure)

    assert {fact.status for fact in payments(late)} == {PaymentStatus.paid}
    assert {fact.status for fact in subscriptions(late)} == {SubscriptionStatus.active}


async def test_a_subscription_that_is_given_up_has_ended(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())

    (ended,) = subscriptions(await shop.hear(shop.stripe.give_up(subscription_id)))

    assert ended.status is SubscriptionStatus.ended


async def test_cancelling_ends_with_the_period_and_can_be_taken_back(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())

    cancelled = await shop.gateway.cancel_subscription(subscription_id)
    again = await shop.gateway.cancel_subscription(subscription_id)
    resumed = await shop.gateway.resume_subscription(subscription_id)

    assert (cancelled.status, cancelled.ends_at_period_end) == (SubscriptionStatus.active, True)
    assert (again.status, again.ends_at_period_end) == (SubscriptionStatus.active, True)
    assert (resumed.status, resumed.ends_at_period_end) == (SubscriptionStatus.active, False)
    assert not subscriptions(await shop.hear(shop.stripe.take_webhooks()))[-1].ends_at_period_end


async def test_a_cancellation_in_the_portal_counts_and_can_be_taken_back(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())

    (cancelled,) = subscriptions(await shop.hear(shop.stripe.cancel_in_portal(subscription_id)))
    resumed = await shop.gateway.resume_subscription(subscription_id)

    assert cancelled.ends_at_period_end
    assert not resumed.ends_at_period_end


async def test_cancelling_at_once_ends_and_stays_ended(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())

    for _ in range(2):
        ended = await shop.gateway.cancel_subscription(subscription_id, at_once=True)
        assert (ended.status, ended.ends_at_period_end) == (SubscriptionStatus.ended, False)

    with pytest.raises(GatewayError):
        await shop.gateway.resume_subscription(subscription_id)


async def test_resuming_what_goes_on_changes_nothing(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    calls = len(shop.stripe.calls)

    fact = await shop.gateway.resume_subscription(subscription_id)

    assert fact.status is SubscriptionStatus.active
    assert {call.method for call in shop.stripe.calls[calls:]} == {"GET"}


@pytest.mark.parametrize(
    "paused", [{"status": "paused"}, {"pause_collection": {"behavior": "void", "resumes_at": None}}], ids=str
)
async def test_both_kinds_of_pause_are_ended(shop: StripeShop, paused: dict[str, object]) -> None:
    subscription_id = await shop.subscribed(plan())
    shop.stripe.objects[subscription_id].update(paused)

    before = await shop.gateway.subscription(subscription_id)
    after = await shop.gateway.resume_subscription(subscription_id)

    assert (before.status, after.status) == (SubscriptionStatus.paused, SubscriptionStatus.active)


async def test_an_upgrade_at_once_begins_a_period_that_its_own_order_paid_for(shop: StripeShop) -> None:
    first = plan()
    subscription_id = await shop.subscribed(first)
    dearer = plan(account_id=first.account_id, price=Money(5000, "USD"), price_key="max:1:eu", title="Max")

    changed = await shop.gateway.change_plan(subscription_id, dearer, at_once=True)
    facts = await shop.hear(shop.stripe.take_webhooks())

    (payment,) = payments(facts)
    assert (payment.order_id, payment.price) == (dearer.order_id, Money(5000, "USD"))
    assert payment.period == changed.period == period_of(shop, subscription_id)
    assert (changed.price_key, changed.order_id) == ("max:1:eu", first.order_id)
    (renewal,) = payments(await shop.hear(shop.stripe.renew(subscription_id)))
    assert (renewal.order_id, renewal.price) == (None, Money(5000, "USD"))


async def test_an_upgrade_that_is_repeated_is_paid_once(shop: StripeShop) -> None:
    first = plan()
    subscription_id = await shop.subscribed(first)
    dearer = plan(account_id=first.account_id, price=Money(5000, "USD"), price_key="max:1:eu")

    facts = [await shop.gateway.change_plan(subscription_id, dearer, at_once=True) for _ in range(2)]

    assert len({(fact.price_key, fact.period) for fact in facts}) == 1
    assert len(payments(await shop.hear(shop.stripe.take_webhooks()))) == 1


async def test_an_upgrade_that_is_declined_leaves_everything_as_it_was(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    before = await shop.gateway.subscription(subscription_id)
    shop.stripe.decline(shop.stripe.objects[subscription_id]["default_payment_method"])

    with pytest.raises(Declined):
        await shop.gateway.change_plan(subscription_id, plan(price_key="max:1:eu"), at_once=True)

    after = await shop.gateway.subscription(subscription_id)
    assert msgspec.structs.replace(after, asked_at_us=before.asked_at_us) == before


async def test_an_upgrade_that_was_declined_is_tried_anew_when_it_is_wanted_again(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    method_id = shop.stripe.objects[subscription_id]["default_payment_method"]
    dearer = plan(price=Money(5000, "USD"), price_key="max:1:eu")
    shop.stripe.decline(method_id)
    for _ in range(3):
        with pytest.raises(Declined):
            await shop.gateway.change_plan(subscription_id, dearer, at_once=True)
    shop.stripe.accept(method_id)
    shop.stripe.take_webhooks()

    facts = [await shop.gateway.change_plan(subscription_id, dearer, at_once=True) for _ in range(2)]

    assert {fact.price_key for fact in facts} == {"max:1:eu"}
    assert len(payments(await shop.hear(shop.stripe.take_webhooks()))) == 1


async def test_a_downgrade_is_paid_for_with_the_next_period(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    period = period_of(shop, subscription_id)

    changed = await shop.gateway.change_plan(
        subscription_id, plan(price=Money(900, "USD"), price_key="basic:1:eu"), at_once=False
    )

    told = await shop.hear(shop.stripe.take_webhooks())
    assert payments(told) == []
    assert {(fact.period, fact.price_key) for fact in (changed, *subscriptions(told))} == {(period, PRICE_KEY)}
    facts = await shop.hear(shop.stripe.renew(subscription_id))
    assert [(fact.order_id, fact.price) for fact in payments(facts)] == [(None, Money(900, "USD"))]
    assert {fact.price_key for fact in subscriptions(facts)} == {"basic:1:eu"}


async def test_a_downgrade_can_be_taken_back_before_it_comes(shop: StripeShop) -> None:
    first = plan()
    subscription_id = await shop.subscribed(first)
    await shop.gateway.change_plan(
        subscription_id, plan(price=Money(900, "USD"), price_key="basic:1:eu"), at_once=False
    )

    await shop.gateway.change_plan(subscription_id, plan(), at_once=False)

    shop.stripe.take_webhooks()
    facts = await shop.hear(shop.stripe.renew(subscription_id))
    assert [fact.price for fact in payments(facts)] == [Money(2000, "USD")]
    assert {fact.price_key for fact in subscriptions(facts)} == {PRICE_KEY}


async def test_an_upgrade_overtakes_a_downgrade_that_has_not_come(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    await shop.gateway.change_plan(
        subscription_id, plan(price=Money(900, "USD"), price_key="basic:1:eu"), at_once=False
    )

    changed = await shop.gateway.change_plan(
        subscription_id, plan(price=Money(5000, "USD"), price_key="max:1:eu"), at_once=True
    )

    shop.stripe.take_webhooks()
    facts = await shop.hear(shop.stripe.renew(subscription_id))
    assert {changed.price_key, *(fact.price_key for fact in subscriptions(facts))} == {"max:1:eu"}


async def test_what_an_invoice_is_for_is_told_before_it(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    await shop.gateway.change_plan(subscription_id, plan(price_key="max:1:eu"), at_once=True)

    paid = [webhook for webhook in shop.stripe.take_webhooks() if webhook.kind == "invoice.paid"]
    facts = await shop.hear(paid)

    assert [fact.price_key for fact in subscriptions(facts[:1])] == ["max:1:eu"]
    assert [fact.status for fact in payments(facts[1:])] == [PaymentStatus.paid]


async def test_periods_of_another_length_only_begin_at_once(shop: StripeShop) -> None:
    subscription_id = await shop.subscribed(plan())
    yearly = plan(months=12, price=Money(20_000, "USD"))

    with pytest.raises(NotSupported):
        await shop.gateway.change_plan(subscription_id, yearly, at_once=False)
    changed = await shop.gateway.change_plan(subscription_id, yearly, at_once=True)

    assert changed.period == period_of(shop, subscription_id)
    assert payments(await shop.hear(shop.stripe.take_webhooks()))[0].price == Money(20_000, "USD")


async def test_a_subscription_that_stripe_does_not_know_is_unknown(shop: StripeShop) -> None:
    with pytest.raises(UnknownObject):
        await shop.gateway.subscription("sub_gone")


async def test_subscriptions_and_invoices_of_others_say_nothing(shop: StripeShop) -> None:
    stripe = shop.stripe
    customer = stripe.add_customer()
    price = stripe.add_price(
        {"currency": "usd", "unit_amount": "700", "recurring": {"interval": "month"}, "product_data": {"name": "Tea"}}
    )
    other = stripe.add_subscription(customer, stripe.add_method(customer["id"]), price, {"order_id": str(uuid4())})

    webhooks = stripe.renew(other["id"])

    assert len(webhooks) == 3
    assert await shop.hear(webhooks) == []


async def test_a_first_payment_that_is_declined_begins_nothing(shop: StripeShop) -> None:
    session_id = await shop.open(plan())

    assert await shop.hear(shop.stripe.decline_once(session_id)) == []
    assert subscriptions(await shop.hear(shop.stripe.pay(session_id)))


async def test_taxes_on_top_of_a_plan_are_told_apart() -> None:
    async with stripe_shop(STRIPE_AUTOMATIC_TAX="1") as shop:
        facts = await shop.sell(plan(tax_inclusive=False), tax=380)
        renewals = await shop.hear(shop.stripe.renew(subscriptions(facts)[0].subscription_id, tax=380))

    assert {(fact.price, fact.tax) for fact in payments(facts + renewals)} == {(Money(2380, "USD"), Money(380, "USD"))}
