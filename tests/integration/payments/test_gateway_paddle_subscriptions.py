"""Subscriptions at Paddle: renewals, changes of plan in two steps, ending and resuming."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.fakes.paddle_objects import rfc3339
from tests.fakes.paddle_server import broken
from tests.fakes.scripted_server import Cut, no_answer
from tests.paddle_shop import ACCOUNT, BEGIN, TEN_DOLLARS, Shop, of_kind, purchase, us
from workers.payments.facts import PaymentFact, PaymentStatus, Period, SavedMethod, SubscriptionFact, SubscriptionStatus
from workers.payments.gateway import Declined, GatewayError, NotSupported, SavedCharge, UnknownObject
from workers.payments.money import Money

IN_A_MONTH = BEGIN.replace(month=12)
IN_TWO_MONTHS = BEGIN.replace(year=2027, month=1)
TWENTY_DOLLARS = Money(2_000, "USD")


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        yield shop


def charge(subscription_id: str, price: Money = TEN_DOLLARS, *, order_id: UUID | None = None) -> SavedCharge:
    return SavedCharge(
        order_id=order_id or uuid4(),
        account_id=ACCOUNT,
        title="1,000 credits",
        price=price,
        method=SavedMethod(customer_id="ctm_1", method_id=subscription_id),
    )


async def test_a_subscription_is_as_paddle_has_it_when_asked(shop: Shop) -> None:
    wanted = purchase(months=1, price_key="pro:2:us")
    subscription_id = await shop.subscribe(wanted)
    shop.later(days=1)

    fact = await shop.gateway.subscription(subscription_id)

    assert fact == SubscriptionFact(
        subscription_id=subscription_id,
        order_id=wanted.order_id,
        account_id=ACCOUNT,
        status=SubscriptionStatus.active,
        price_key="pro:2:us",
        period=Period(us(BEGIN), us(IN_A_MONTH)),
        asked_at_us=us(shop.now),
        saved_method=SavedMethod(
            customer_id=shop.paddle.subscriptions[subscription_id]["customer_id"], method_id=subscription_id
        ),
    )


async def test_webhooks_of_subscriptions_are_only_a_reason_to_ask(shop: Shop) -> None:
    transaction_id = await shop.start(purchase(months=1))
    created = of_kind("subscription.created", shop.paddle.pay(transaction_id))
    shop.paddle.end(created.data["id"])

    fact = await shop.last(SubscriptionFact, created)

    assert fact.status is SubscriptionStatus.ended


async def test_a_renewal_is_a_payment_for_the_next_period_and_of_no_order(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.now = IN_A_MONTH

    fact = await shop.last(PaymentFact, *shop.paddle.renew(subscription_id))

    assert (fact.order_id, fact.account_id, fact.subscription_id) == (None, ACCOUNT, subscription_id)
    assert (fact.price, fact.status) == (TEN_DOLLARS, PaymentStatus.paid)
    assert fact.period == Period(us(IN_A_MONTH), us(IN_TWO_MONTHS))


async def test_what_cannot_be_collected_is_past_due_until_it_is(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.now = IN_A_MONTH

    missed = shop.paddle.miss(subscription_id)
    failure, past_due = await shop.last(PaymentFact, *missed), await shop.last(SubscriptionFact, *missed)
    shop.later(days=3)
    recovered = shop.paddle.recover(subscription_id)
    paid, active = await shop.last(PaymentFact, *recovered), await shop.last(SubscriptionFact, *recovered)

    assert (failure.status, failure.failure) == (PaymentStatus.failed, "declined")
    assert past_due.status is SubscriptionStatus.past_due
    assert (paid.payment_id, paid.status) == (failure.payment_id, PaymentStatus.paid)
    assert (paid.at_us, paid.period) == (us(shop.now), failure.period)
    assert active.status is SubscriptionStatus.active


async def test_a_change_at_once_charges_the_full_price_and_begins_a_new_period(shop: Shop) -> None:
    first = purchase(months=1)
    subscription_id = await shop.subscribe(first)
    shop.later(days=10)
    wanted = purchase(TWENTY_DOLLARS, months=1, price_key="max:1:us")

    fact = await shop.gateway.change_plan(subscription_id, wanted, at_once=True)

    ends = (BEGIN + timedelta(days=10)).replace(month=12)
    paid = await shop.last(PaymentFact, *shop.paddle.take())
    assert (fact.price_key, fact.order_id) == ("max:1:us", first.order_id)
    assert fact.period == paid.period
    assert (paid.price, paid.order_id, paid.subscription_id) == (TWENTY_DOLLARS, wanted.order_id, subscription_id)
    assert paid.period == Period(us(shop.now), us(ends))
    modes = [call.body["proration_billing_mode"] for call in shop.paddle.changing[1:]]
    assert modes == ["full_immediately", "do_not_bill"]

    shop.now = ends
    renewed = await shop.last(PaymentFact, *shop.paddle.renew(subscription_id))
    assert (renewed.price, renewed.order_id) == (TWENTY_DOLLARS, None)
    assert renewed.period is not None
    assert renewed.period.begins_us == us(ends)


async def test_a_change_for_later_charges_nothing_and_leaves_the_date(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.later(days=10)

    fact = await shop.gateway.change_plan(
        subscription_id, purchase(TWENTY_DOLLARS, months=1, price_key="max:1:us"), at_once=False
    )

    assert fact.period == Period(us(BEGIN), us(IN_A_MONTH))
    assert len(shop.paddle.transactions) == 1
    assert len(shop.paddle.changing) == 2
    shop.now = IN_A_MONTH
    renewed = await shop.last(PaymentFact, *shop.paddle.renew(subscription_id))
    assert renewed.price == TWENTY_DOLLARS


async def test_a_longer_period_for_later_is_not_given_away_before(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.later(days=10)

    await shop.gateway.change_plan(subscription_id, purchase(Money(10_000, "USD"), months=12), at_once=False)

    assert shop.paddle.subscriptions[subscription_id]["next_billed_at"] == rfc3339(IN_A_MONTH)


@pytest.mark.parametrize("trouble", [broken(), no_answer(Cut())])
async def test_a_change_whose_answer_broke_is_charged_once_when_it_is_repeated(shop: Shop, trouble: object) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.later(days=10)
    wanted = purchase(TWENTY_DOLLARS, months=1)
    shop.paddle.act_then(trouble)  # pyright: ignore[reportArgumentType] - of the cases above
    with pytest.raises(GatewayError) as failed:
        await shop.gateway.change_plan(subscription_id, wanted, at_once=True)
    assert failed.value.ambiguous

    shop.later(minutes=7)
    fact = await shop.gateway.change_plan(subscription_id, wanted, at_once=True)

    assert len(shop.paddle.transactions) == 2
    assert fact.period is not None
    assert fact.period.ends_us == us((BEGIN + timedelta(days=10)).replace(month=12))


async def test_a_change_that_we_died_over_is_finished_when_paddle_tells_of_it(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.later(days=10)
    shop.paddle.act_then(no_answer(Cut()))
    with pytest.raises(GatewayError):
        await shop.gateway.change_plan(subscription_id, purchase(TWENTY_DOLLARS, months=1), at_once=True)

    fact = await shop.last(SubscriptionFact, *shop.paddle.take())

    ends = (BEGIN + timedelta(days=10)).replace(month=12)
    assert fact.period is not None
    assert fact.period.ends_us == us(ends)
    assert shop.paddle.subscriptions[subscription_id]["next_billed_at"] == rfc3339(ends)


async def test_a_billing_date_that_somebody_sets_later_stays(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    await shop.gateway.change_plan(subscription_id, purchase(TWENTY_DOLLARS, months=1), at_once=True)
    shop.later(days=2)
    body = {"next_billed_at": rfc3339(BEGIN + timedelta(days=5)), "proration_billing_mode": "do_not_bill"}
    shop.paddle.change("PATCH", ["subscriptions", subscription_id], body)

    await shop.facts(*shop.paddle.take())

    assert shop.paddle.subscriptions[subscription_id]["next_billed_at"] == body["next_billed_at"]


async def test_a_declined_change_changes_nothing(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1, price_key="pro:1:us"))
    shop.paddle.declines = True

    with pytest.raises(Declined):
        await shop.gateway.change_plan(subscription_id, purchase(TWENTY_DOLLARS, months=12), at_once=True)

    fact = await shop.gateway.subscription(subscription_id)
    assert (fact.price_key, fact.period) == ("pro:1:us", Period(us(BEGIN), us(IN_A_MONTH)))


async def test_what_is_about_to_end_is_not_changed(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.paddle.cancel(subscription_id)

    with pytest.raises(GatewayError) as refusal:
        await shop.gateway.change_plan(subscription_id, purchase(TWENTY_DOLLARS, months=1), at_once=True)

    assert not refusal.value.retryable


async def test_a_subscription_ends_with_its_period_unless_it_is_resumed(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))

    ending = await shop.gateway.cancel_subscription(subscription_id)
    again = await shop.gateway.cancel_subscription(subscription_id)
    resumed = await shop.gateway.resume_subscription(subscription_id)
    still = await shop.gateway.resume_subscription(subscription_id)

    assert (ending.status, ending.ends_at_period_end) == (SubscriptionStatus.active, True)
    assert again.ends_at_period_end
    assert (resumed.status, resumed.ends_at_period_end) == (SubscriptionStatus.active, False)
    assert not still.ends_at_period_end
    assert shop.paddle.subscriptions[subscription_id]["next_billed_at"] == rfc3339(IN_A_MONTH)


async def test_a_subscription_that_was_to_end_does(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    await shop.gateway.cancel_subscription(subscription_id)
    shop.now = IN_A_MONTH

    fact = await shop.last(SubscriptionFact, *shop.paddle.renew(subscription_id))

    assert (fact.status, fact.period, fact.ends_at_period_end) == (SubscriptionStatus.ended, None, False)


@pytest.mark.parametrize("is_ending", [True, False])
async def test_a_subscription_ends_at_once_even_if_it_was_to_end_later(shop: Shop, is_ending: bool) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    if is_ending:
        await shop.gateway.cancel_subscription(subscription_id)

    ended = await shop.gateway.cancel_subscription(subscription_id, at_once=True)
    again = await shop.gateway.cancel_subscription(subscription_id, at_once=True)

    assert ended.status is again.status is SubscriptionStatus.ended
    with pytest.raises(GatewayError) as refusal:
        await shop.gateway.resume_subscription(subscription_id)
    assert not refusal.value.retryable


async def test_a_paused_subscription_goes_on_with_a_new_period_that_is_paid_for(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    paused = await shop.last(SubscriptionFact, *shop.paddle.pause(subscription_id))
    shop.later(days=40)

    resumed = await shop.gateway.resume_subscription(subscription_id)

    paid = await shop.last(PaymentFact, *shop.paddle.take())
    assert paused.status is SubscriptionStatus.paused
    assert resumed.status is SubscriptionStatus.active
    assert paid.period == resumed.period


async def test_a_subscription_that_is_not_there_is_unknown(shop: Shop) -> None:
    with pytest.raises(UnknownObject):
        await shop.gateway.subscription("sub_01none")


async def test_a_status_that_is_new_to_us_is_asked_about_again(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.paddle.subscriptions[subscription_id]["status"] = "frozen"

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.subscription(subscription_id)

    assert failed.value.retryable


async def test_a_subscription_can_be_charged_for_a_pack(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    wanted = charge(subscription_id)

    fact = await shop.gateway.charge_saved(wanted)

    assert (fact.order_id, fact.account_id, fact.status) == (wanted.order_id, ACCOUNT, PaymentStatus.paid)
    assert (fact.price, fact.subscription_id, fact.period) == (TEN_DOLLARS, None, None)
    assert await shop.last(PaymentFact, *shop.paddle.take()) == fact


@pytest.mark.parametrize("trouble", [broken(), no_answer(Cut()), None])
async def test_a_charge_that_is_repeated_charges_once(shop: Shop, trouble: object) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    await shop.gateway.charge_saved(charge(subscription_id))
    wanted = charge(subscription_id)
    if trouble is None:
        await shop.gateway.charge_saved(wanted)
    else:
        shop.paddle.act_then(trouble)  # pyright: ignore[reportArgumentType] - of the cases above
        with pytest.raises(GatewayError) as failed:
            await shop.gateway.charge_saved(wanted)
        assert failed.value.ambiguous

    fact = await shop.gateway.charge_saved(wanted)

    assert fact.order_id == wanted.order_id
    assert len(shop.paddle.transactions) == 3


async def test_a_charge_that_is_declined_says_so_each_time(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.paddle.declines = True
    wanted = charge(subscription_id)

    for _ in range(2):
        with pytest.raises(Declined):
            await shop.gateway.charge_saved(wanted)

    assert len(shop.paddle.transactions) == 2


async def test_nothing_but_a_subscription_can_be_charged(shop: Shop) -> None:
    with pytest.raises(NotSupported):
        await shop.gateway.charge_saved(charge("paymtd_1"))

    assert shop.paddle.calls == []


async def test_one_order_may_lead_to_several_changes(shop: Shop) -> None:
    first = purchase(months=1, price_key="pro:1:us")
    subscription_id = await shop.subscribe(first)
    keys = list[str]()
    for price_key, at_once in (("pro:1:us", True), ("max:1:us", True), ("max:1:us", False), ("pro:1:us", False)):
        shop.later(hours=1)
        wanted = purchase(months=1, price_key=price_key, order_id=first.order_id)
        keys.append((await shop.gateway.change_plan(subscription_id, wanted, at_once=at_once)).price_key)

    assert keys == ["pro:1:us", "max:1:us", "max:1:us", "pro:1:us"]
    assert [each["origin"] for each in shop.paddle.transactions.values()] == ["api", *["subscription_update"] * 2]


async def test_the_plan_is_told_before_the_payment_for_a_change_to_it(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    wanted = purchase(TWENTY_DOLLARS, months=1, price_key="max:1:us")
    await shop.gateway.change_plan(subscription_id, wanted, at_once=True)

    told, paid = await shop.facts(of_kind("transaction.paid", shop.paddle.take()))

    assert isinstance(told, SubscriptionFact)
    assert isinstance(paid, PaymentFact)
    assert (told.price_key, told.period, paid.price) == ("max:1:us", paid.period, TWENTY_DOLLARS)


async def test_a_payment_for_a_change_waits_until_paddle_has_made_the_change(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    before = list(shop.paddle.subscriptions[subscription_id]["items"])
    await shop.gateway.change_plan(subscription_id, purchase(TWENTY_DOLLARS, months=1), at_once=True)
    webhook = of_kind("transaction.paid", shop.paddle.take())
    shop.paddle.subscriptions[subscription_id]["items"] = before

    with pytest.raises(GatewayError) as failed:
        await shop.facts(webhook)

    assert failed.value.retryable
