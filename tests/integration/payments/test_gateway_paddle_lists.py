"""Listing what Paddle's books say, and what its failures mean."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.fakes.paddle_server import broken, limited, refused
from tests.fakes.scripted_server import Answer, Cut, no_answer
from tests.paddle_shop import ACCOUNT, BEGIN, Shop, purchase, us
from workers.payments.facts import PaymentFact, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError

ANOTHER_ACCOUNT = UUID("01980000-0000-7000-8000-000000000002")


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        yield shop


async def listed(shop: Shop, since: datetime, until: datetime) -> list[PaymentFact | RefundFact]:
    return [fact async for fact in shop.gateway.listed(since_us=us(since), until_us=us(until))]


async def test_all_that_was_paid_in_a_time_is_listed_once_over_all_pages(shop: Shop) -> None:
    sold = list[str]()
    for _ in range(65):
        shop.later(minutes=1)
        sold.append(await shop.sell(purchase()))
    await shop.start(purchase())

    found = await listed(shop, BEGIN, shop.now + timedelta(seconds=1))

    assert [fact.payment_id for fact in found if isinstance(fact, PaymentFact)] == sold
    assert sum(call.path.startswith("/transactions?") for call in shop.paddle.calls) == 3


async def test_a_time_has_its_beginning_and_not_its_end(shop: Shop) -> None:
    for hour in range(4):
        shop.now = BEGIN + timedelta(hours=hour)
        await shop.sell(purchase())

    found = await listed(shop, BEGIN + timedelta(hours=1), BEGIN + timedelta(hours=3))

    assert [fact.at_us for fact in found] == [us(BEGIN + timedelta(hours=hour)) for hour in (1, 2)]


async def test_what_counts_is_when_it_was_paid_not_when_it_was_billed_or_changed(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    shop.now = BEGIN.replace(month=12)
    shop.paddle.miss(subscription_id)
    shop.later(days=5)
    shop.paddle.recover(subscription_id)
    paid_at = shop.now
    shop.later(days=5)
    shop.paddle.refund(next(iter(shop.paddle.transactions)))

    at_payment = await listed(shop, paid_at - timedelta(days=1), paid_at + timedelta(days=1))
    at_billing = await listed(shop, paid_at - timedelta(days=6), paid_at - timedelta(days=4))
    at_refund = await listed(shop, paid_at + timedelta(days=4), paid_at + timedelta(days=6))

    assert [type(fact) for fact in at_payment] == [PaymentFact]
    assert at_billing == []
    assert [type(fact) for fact in at_refund] == [RefundFact]


async def test_refunds_are_listed_whatever_became_of_them_and_chargebacks_are_not(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    shop.later(days=1)
    since = shop.now
    for _ in range(60):
        shop.paddle.refund(transaction_id, 10)
        shop.paddle.approve()
        shop.later(minutes=1)
    shop.paddle.refund(transaction_id, 10)
    shop.paddle.reject()
    shop.paddle.charge_back(transaction_id)

    found = await listed(shop, since, shop.now + timedelta(seconds=1))

    assert len(found) == 61
    assert {fact.status for fact in found if isinstance(fact, RefundFact)} == {
        RefundStatus.succeeded,
        RefundStatus.failed,
    }


async def test_a_listing_waits_as_long_as_paddle_asks_and_goes_on(shop: Shop) -> None:
    await shop.sell(purchase())
    shop.paddle.script(limited(60), limited(7), broken(503), no_answer(Cut()))

    found = await listed(shop, BEGIN, BEGIN + timedelta(days=1))

    assert len(found) == 1
    assert shop.pauses[:2] == [60, 7]


async def test_a_listing_gives_up_after_a_while(shop: Shop) -> None:
    shop.paddle.script(*[limited(60)] * 20)

    with pytest.raises(GatewayError, match="too_many_requests") as failed:
        await listed(shop, BEGIN, BEGIN + timedelta(days=1))

    assert failed.value.retryable
    assert len(shop.paddle.calls) == 8


async def test_a_page_that_leads_to_itself_is_not_followed_for_ever(shop: Shop) -> None:
    page = b'{"data":[],"meta":{"pagination":{"next":"https://evil.example/transactions?after=txn_1","has_more":true}}}'
    shop.paddle.script(*[Answer(200, {"content-type": "application/json"}, (page,))] * 2)

    with pytest.raises(GatewayError, match="same page"):
        await listed(shop, BEGIN, BEGIN + timedelta(days=1))

    assert all(call.headers["host"] in shop.paddle.url for call in shop.paddle.calls)


@pytest.mark.parametrize(
    ("answer", "is_retryable"),
    [
        (refused(400, "bad_request"), False),
        (refused(403, "invalid_token"), True),
        (refused(403, "forbidden"), True),
        (refused(404, "not_found"), False),
        (refused(409, "concurrent_modification"), True),
        (refused(409, "subscription_next_billed_at_too_soon"), False),
        (refused(400, "subscription_locked_renewal"), True),
        (limited(30), True),
        (Answer(307, {"location": "https://evil.example/"}), True),
        (Answer(200, {}, (b"<html>",)), True),
        (Answer(200, {}, (b'{"data":{"id":1}}',)), True),
    ],
)
async def test_whether_a_request_may_succeed_later_is_known(shop: Shop, answer: Answer, is_retryable: bool) -> None:
    shop.paddle.script(answer)

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.subscription("sub_1")

    assert (failed.value.retryable, failed.value.ambiguous) == (is_retryable, False)


async def test_a_short_trouble_is_tried_once_more_when_nothing_is_changed(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    for trouble in (broken(), limited(1), no_answer(Cut())):
        shop.paddle.script(trouble)
        assert (await shop.gateway.subscription(subscription_id)).subscription_id == subscription_id


async def test_what_changes_something_is_sent_once(shop: Shop) -> None:
    for trouble in (broken(), limited(1)):
        shop.paddle.script(trouble)
        with pytest.raises(GatewayError):
            await shop.gateway.start_purchase(purchase())

    assert len(shop.paddle.changing) == 2


async def test_a_paddle_that_cannot_be_reached_has_done_nothing(shop: Shop) -> None:
    gateway = shop.another_gateway(url="http://127.0.0.1:1")

    with pytest.raises(GatewayError) as failed:
        await gateway.start_purchase(purchase())
    await gateway.aclose()

    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)


async def test_a_wrong_key_is_told_without_telling_the_key(shop: Shop) -> None:
    gateway = shop.another_gateway(key="pdl_live_secret")

    with pytest.raises(GatewayError, match="invalid_token") as failed:
        await gateway.subscription("sub_1")
    await gateway.aclose()

    assert "pdl_live_secret" not in str(failed.value) + repr(gateway)


async def test_the_portal_lets_in_whose_all_of_it_is(shop: Shop) -> None:
    subscription_id = await shop.subscribe(purchase(months=1))
    await shop.sell(purchase())
    customer_id = shop.paddle.subscriptions[subscription_id]["customer_id"]

    url = await shop.gateway.portal_url(customer_id, return_url="https://app.example")

    assert "token=" in url


async def test_who_gave_somebody_elses_address_has_to_sign_in_to_the_portal(shop: Shop) -> None:
    await shop.sell(purchase(account_id=ACCOUNT), email="victim@example.com")
    subscription_id = await shop.subscribe(purchase(months=1, account_id=ANOTHER_ACCOUNT), email="victim@example.com")
    customer_id = shop.paddle.subscriptions[subscription_id]["customer_id"]

    url = await shop.gateway.portal_url(customer_id, return_url="https://app.example")

    assert url == "https://customer-portal.paddle.com/cpl_01fake?action=overview"
