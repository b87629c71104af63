"""Money that goes back through Paddle: refunds that need approval, chargebacks, warnings of them, and reversals."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.paddle_server import broken
from tests.fakes.paddle_webhooks import signed
from tests.fakes.scripted_server import Cut, no_answer
from tests.paddle_shop import TEN_DOLLARS, Shop, of_kind, purchase, us
from workers.payments.facts import DisputeFact, DisputeStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.money import Money


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        yield shop


def dollars(minor: int) -> Money:
    return Money(minor, "USD")


async def refund(shop: Shop, transaction_id: str, minor: int, key: str = "key") -> RefundFact:
    return await shop.gateway.refund(transaction_id, dollars(minor), key=key, reason="not as expected")


async def test_a_refund_waits_for_approval(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    shop.later(days=1)

    fact = await refund(shop, transaction_id, 1_000)

    assert shop.paddle.changing[-1].body["type"] == "full"
    assert fact == RefundFact(
        refund_id=next(iter(shop.paddle.adjustments)),
        payment_id=transaction_id,
        amount=TEN_DOLLARS,
        status=RefundStatus.pending,
        at_us=us(shop.now),
    )
    assert await shop.last(RefundFact, *shop.paddle.take()) == fact
    approved = await shop.last(RefundFact, *shop.paddle.approve())
    assert (approved.refund_id, approved.status) == (fact.refund_id, RefundStatus.succeeded)


async def test_a_small_refund_is_approved_at_once(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    shop.paddle.approves_refunds = True

    assert (await refund(shop, transaction_id, 250)).status is RefundStatus.succeeded


async def test_a_refund_that_is_rejected_has_failed_also_after_approval(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    await refund(shop, transaction_id, 250)

    approved = await shop.last(RefundFact, *shop.paddle.approve())
    rejected = await shop.last(RefundFact, *shop.paddle.reject())

    assert (approved.status, rejected.status) == (RefundStatus.succeeded, RefundStatus.failed)
    assert rejected.status > approved.status


async def test_a_part_goes_back_with_its_taxes_inside(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase(tax_inclusive=False))

    fact = await refund(shop, transaction_id, 600)

    sent = shop.paddle.changing[-1].body
    item_id = shop.paddle.transactions[transaction_id]["details"]["line_items"][0]["id"]
    assert (sent["type"], sent["tax_mode"]) == ("partial", "internal")
    assert sent["items"] == [{"item_id": item_id, "type": "partial", "amount": "600"}]
    assert fact.amount == dollars(600)


async def test_parts_add_up_to_the_payment_and_no_further(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    shop.paddle.approves_refunds = True

    await refund(shop, transaction_id, 600, "first")
    with pytest.raises(GatewayError) as too_much:
        await refund(shop, transaction_id, 600, "second")
    await refund(shop, transaction_id, 400, "third")
    with pytest.raises(GatewayError):
        await refund(shop, transaction_id, 1, "fourth")

    assert not too_much.value.retryable
    assert sum(int(each["totals"]["total"]) for each in shop.paddle.adjustments.values()) == 1_000


async def test_what_a_rejected_refund_was_for_can_be_refunded_again(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    await refund(shop, transaction_id, 1_000, "first")
    shop.paddle.reject()

    assert (await refund(shop, transaction_id, 1_000, "second")).amount == TEN_DOLLARS


@pytest.mark.parametrize("trouble", [broken(), no_answer(Cut()), None])
async def test_a_refund_that_is_repeated_gives_nothing_back_twice(shop: Shop, trouble: object) -> None:
    transaction_id = await shop.sell(purchase())
    shop.paddle.approves_refunds = True
    await refund(shop, transaction_id, 300, "another")
    if trouble is None:
        await refund(shop, transaction_id, 300)
    else:
        shop.paddle.act_then(trouble)  # pyright: ignore[reportArgumentType] - of the cases above
        with pytest.raises(GatewayError) as failed:
            await refund(shop, transaction_id, 300)
        assert (failed.value.retryable, failed.value.ambiguous) == (True, True)

    fact = await refund(shop, transaction_id, 300)

    assert fact.refund_id == list(shop.paddle.adjustments)[-1]
    assert len(shop.paddle.adjustments) == 2


async def test_while_a_refund_waits_for_approval_another_has_to_wait(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    await refund(shop, transaction_id, 300, "first")

    with pytest.raises(GatewayError, match="adjustment_pending_refund_request") as failed:
        await refund(shop, transaction_id, 300, "second")

    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)


async def test_another_currency_than_was_paid_cannot_go_back(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())

    with pytest.raises(GatewayError):
        await shop.gateway.refund(transaction_id, Money(100, "EUR"), key="key", reason="")

    assert shop.paddle.adjustments == {}


async def test_a_payment_that_paddle_does_not_know_cannot_be_refunded(shop: Shop) -> None:
    with pytest.raises(UnknownObject):
        await refund(shop, "txn_01none", 100)


async def test_the_reason_shows_what_it_was_asked_for_and_not_the_key(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())

    await refund(shop, transaction_id, 300, "holdfast:some:key")

    reason = str(shop.paddle.changing[-1].body["reason"])
    assert reason.startswith("not as expected [")
    assert "holdfast:some:key" not in reason


async def test_a_chargeback_takes_the_money_and_its_reversal_gives_it_again(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())

    withdrawn = await shop.last(DisputeFact, *shop.paddle.charge_back(transaction_id))
    shop.later(days=30)
    reversal = shop.paddle.reverse(withdrawn.dispute_id)

    assert (withdrawn.payment_id, withdrawn.amount) == (transaction_id, TEN_DOLLARS)
    assert withdrawn.status is DisputeStatus.withdrawn
    for webhook in (of_kind("adjustment.created", reversal), of_kind("adjustment.updated", reversal)):
        won = await shop.last(DisputeFact, webhook)
        assert (won.dispute_id, won.status, won.amount) == (withdrawn.dispute_id, DisputeStatus.won, TEN_DOLLARS)


async def test_a_reversal_that_is_told_before_the_chargeback_is_marked_wins_it_all_the_same(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    dispute = await shop.last(DisputeFact, *shop.paddle.charge_back(transaction_id))

    facts = await shop.facts(*shop.paddle.reverse(dispute.dispute_id, marks_it=False))

    assert [(fact.dispute_id, fact.status) for fact in facts if isinstance(fact, DisputeFact)] == [
        (dispute.dispute_id, DisputeStatus.won)
    ]


async def test_a_second_chargeback_after_one_that_was_won_is_a_dispute_of_its_own(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    first = await shop.last(DisputeFact, *shop.paddle.charge_back(transaction_id))
    reversal = shop.paddle.reverse(first.dispute_id)
    shop.later(days=5)

    second = await shop.last(DisputeFact, *shop.paddle.charge_back(transaction_id))
    again = signed(of_kind("adjustment.created", reversal).body, at_s=shop.now.timestamp())
    late = await shop.facts(again)

    assert second.dispute_id != first.dispute_id
    assert {fact.dispute_id: fact.status for fact in late if isinstance(fact, DisputeFact)} == {
        first.dispute_id: DisputeStatus.won,
        second.dispute_id: DisputeStatus.withdrawn,
    }


async def test_a_warning_counts_as_far_as_money_went_back(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())

    only_warned = await shop.last(DisputeFact, *shop.paddle.warn(transaction_id, 0))
    given_back = await shop.last(DisputeFact, *shop.paddle.warn(transaction_id))
    mistaken = await shop.last(DisputeFact, *shop.paddle.reverse(given_back.dispute_id))

    assert (only_warned.status, only_warned.amount) == (DisputeStatus.opened, dollars(0))
    assert (given_back.status, given_back.amount) == (DisputeStatus.withdrawn, TEN_DOLLARS)
    assert (mistaken.dispute_id, mistaken.status) == (given_back.dispute_id, DisputeStatus.won)


async def test_credits_to_a_customers_balance_at_paddle_say_nothing(shop: Shop) -> None:
    transaction_id = await shop.sell(purchase())
    shop.paddle.adjust(transaction_id, "credit", 100, reason="")

    assert await shop.facts(*shop.paddle.take()) == []
