"""Holding a gateway's list against our books: each way in which they can differ is found, and named."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ledger.commands import TopUp
from ledger.rows import from_us
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, NOW_US, paid, place_order, refund_of
from tests.reconciling import DAY_US, ListingGateway, differing, reconciled
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact, NotYet, PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.money import Money
from workers.payments.reconciling.lines import ADVICE, Line
from workers.payments.reconciling.reconciliation import Window
from workers.payments.settling import payment_key, settle

PAYMENT_ROW = (
    "INSERT INTO payments (gateway, payment_id, account_id, order_id, amount_minor, credits, happened_at, status,"
    " currency, command_key) VALUES ('plain', %s, %s, %s, 1000, 1000000000, now(), 2, 'USD', %s)"
)


async def settle_all(context: PaymentContext, *facts: Fact) -> None:
    for fact in facts:
        await settle(context, "plain", fact)


def change(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(url) as connection:
        assert connection.execute(statement, parameters).rowcount == 1  # pyright: ignore[reportArgumentType, reportCallIssue] - a test's own


async def compared(url: str, *facts: PaymentFact | RefundFact) -> dict[str, str]:
    """What differs, by id. Every finding has its advice."""
    lines = await reconciled(url, ListingGateway(facts))
    assert all(line.found.detail in ADVICE[line.found.kind] for line in lines)
    return differing(lines)


def line_of(lines: Sequence[Line], id_: str) -> Line:
    (line,) = [line for line in lines if line.id == id_]
    return line


async def test_books_that_agree_have_nothing_but_matches(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payments = [paid(place_order(database_url, account_id)) for _ in range(3)]
    refunds = [refund_of(payments[0], 250), refund_of(payments[0], 333), refund_of(payments[1], 1_000)]
    failed = refund_of(payments[2], 100, RefundStatus.failed)
    await settle_all(context, *payments, *refunds, failed)

    lines = await reconciled(database_url, ListingGateway([*payments, *refunds, failed]))

    assert {line.id for line in lines} == {
        *(payment.payment_id for payment in payments), *(refund.refund_id for refund in [*refunds, failed]),
    }  # fmt: skip
    assert differing(lines) == {}
    first = line_of(lines, payments[0].payment_id)
    assert (first.account_id, first.order_id) == (account_id, payments[0].order_id)
    assert (first.theirs, first.ours, first.credits_microcredits) == (Money(1_000, "USD"),) * 2 + (1_000 * CREDIT,)
    assert line_of(lines, refunds[1].refund_id).credits_microcredits == 583 * CREDIT


async def test_what_is_missing_here_is_found(context: PaymentContext, account_id: UUID, database_url: str) -> None:
    unknown, pending, credited = (paid(place_order(database_url, account_id)) for _ in range(3))
    refund = refund_of(credited, 100)
    await settle_all(context, msgspec.structs.replace(pending, status=PaymentStatus.pending), credited)

    found = await compared(database_url, unknown, pending, credited, refund)

    assert found == {
        unknown.payment_id: "missing_here/unknown",
        pending.payment_id: "missing_here/unpaid",
        refund.refund_id: "missing_here/unknown",
    }


async def test_a_row_that_says_credited_is_not_believed_without_its_event(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    said, silent = paid(place_order(database_url, account_id)), paid(place_order(database_url, account_id))
    for payment, key in ((said, payment_key("plain", said.payment_id)), (silent, None)):
        change(
            database_url,
            PAYMENT_ROW,
            payment.payment_id, account_id, payment.order_id, key,
        )  # fmt: skip
    found = await compared(database_url, said, silent)
    assert found == {
        said.payment_id: "missing_here/event_missing",
        silent.payment_id: "missing_here/uncredited",
    }


async def test_an_event_is_held_against_the_list_as_well_as_the_row(
    context: PaymentContext, account_id: UUID, writer: LedgerWriter, database_url: str
) -> None:
    payments = [paid(place_order(database_url, account_id)) for _ in range(4)]
    amount, currency, fewer, fine = payments
    for payment, paid_as, microcredits in (
        (amount, ("9.99", "USD"), 1_000), (currency, ("10.00", "EUR"), 1_000), (fewer, ("10.00", "USD"), 999),
        (fine, ("10.0", "USD"), 1_000),
    ):  # fmt: skip
        command = TopUp(
            account_id=account_id, command_key=payment_key("plain", payment.payment_id), paid_amount=paid_as[0],
            paid_currency=paid_as[1], amount_microcredits=microcredits * CREDIT,
        )  # fmt: skip
        await writer.submit(command)
        change(
            database_url,
            PAYMENT_ROW,
            payment.payment_id, account_id, payment.order_id, command.command_key,
        )  # fmt: skip

    assert await compared(database_url, *payments) == {
        amount.payment_id: "different_amount/ledger_amount",
        currency.payment_id: "different_amount/ledger_currency",
        fewer.payment_id: "different_amount/credits",
    }


async def test_what_is_missing_there_is_found(
    context: PaymentContext, account_id: UUID, writer: LedgerWriter, database_url: str
) -> None:
    now_us = NOW_US
    payment, listed = paid(place_order(database_url, account_id)), paid(place_order(database_url, account_id))
    refund, failed = refund_of(listed, 100), refund_of(listed, 100, RefundStatus.failed)
    free = paid(None, price=Money(0, "USD"))
    await settle_all(context, payment, listed, refund, failed, free)
    stray = TopUp(account_id=account_id, command_key=payment_key("plain", "stray"), amount_microcredits=1)
    event = (await writer.submit(stray)).event
    window = Window(from_us(now_us - DAY_US), from_us(event.recorded_at_us + 1))

    gateway = ListingGateway([listed])
    lines = await reconciled(database_url, gateway, window=window)

    assert differing(lines) == {
        payment.payment_id: "missing_there/",
        refund.refund_id: "missing_there/",
        "stray": "missing_there/unnoted",
    }
    assert line_of(lines, payment.payment_id).ours == Money(1_000, "USD")
    assert line_of(lines, "stray").ours is None


async def test_amounts_and_currencies_that_differ_are_found(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    amount, currency, refunded = (paid(place_order(database_url, account_id)) for _ in range(3))
    less, other, moved = refund_of(refunded, 100), refund_of(refunded, 100), refund_of(refunded, 100)
    await settle_all(context, amount, currency, refunded, less, other, moved)

    assert await compared(
        database_url,
        msgspec.structs.replace(amount, price=Money(1_001, "USD")),
        msgspec.structs.replace(currency, price=Money(1_000, "EUR")),
        refunded,
        msgspec.structs.replace(less, amount=Money(99, "USD")),
        msgspec.structs.replace(other, amount=Money(100, "EUR")),
        msgspec.structs.replace(moved, payment_id=amount.payment_id),
    ) == {
        amount.payment_id: "different_amount/amount",
        currency.payment_id: "different_amount/currency",
        less.refund_id: "different_amount/amount",
        other.refund_id: "different_amount/currency",
        moved.refund_id: "different_amount/payment",
    }


async def test_a_tax_that_does_not_lead_to_the_price_of_the_order_is_found(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    right, wrong, unsaid = (
        paid(
            place_order(database_url, account_id, tax_inclusive=False),
            price=Money(1_200, "USD"),
            tax=Money(200, "USD"),
        )
        for _ in range(3)
    )
    changed = paid(place_order(database_url, account_id))
    await settle_all(context, right, wrong, unsaid, changed)
    change(database_url, "UPDATE payment_orders SET amount_minor = 1001 WHERE id = %s", changed.order_id)

    assert await compared(
        database_url, right, msgspec.structs.replace(wrong, tax=Money(100, "USD")),
        msgspec.structs.replace(unsaid, tax=None), changed,
    ) == {wrong.payment_id: "different_amount/tax", changed.payment_id: "different_amount/order"}  # fmt: skip


async def test_an_order_that_two_payments_paid_for_has_a_duplicate_until_it_is_refunded(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = place_order(database_url, account_id)
    first, second = paid(order_id, at_us=NOW_US + 5), paid(order_id, at_us=NOW_US)
    both = place_order(database_url, account_id)
    third, fourth = paid(both, at_us=NOW_US), paid(both, at_us=NOW_US + 1)
    await settle_all(context, first, second)

    # The one that was credited stands, though the other came earlier; of two that are unknown, the earlier one does.
    assert await compared(database_url, first, second, third, fourth) == {
        second.payment_id: "duplicate/order_paid_twice",
        third.payment_id: "missing_here/unknown",
        fourth.payment_id: "duplicate/order_paid_twice",
    }

    refund = refund_of(second, 1_000)
    await settle_all(context, refund)
    assert await compared(database_url, first, second, refund) == {}


async def test_renewals_that_name_the_order_of_their_subscription_are_no_duplicates(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = place_order(database_url, account_id)
    payments = [paid(order_id, subscription_id="sub_1", at_us=NOW_US + number) for number in range(3)]

    found = await compared(database_url, *payments)

    assert set(found.values()) == {"missing_here/unknown"}


async def test_a_payment_that_was_credited_twice_is_found(
    context: PaymentContext, account_id: UUID, writer: LedgerWriter, database_url: str
) -> None:
    payment, other_id = paid(place_order(database_url, account_id)), uuid4()
    await settle_all(context, payment)
    await writer.submit(open_account(other_id))
    await writer.submit(
        TopUp(account_id=other_id, command_key=payment_key("plain", payment.payment_id), amount_microcredits=1)
    )
    assert await compared(database_url, payment) == {payment.payment_id: "duplicate/credited_twice"}


async def test_a_mismatch_is_told_until_somebody_has_resolved_it(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payment = paid(place_order(database_url, account_id), price=Money(900, "USD"))
    assert await settle(context, "plain", payment) == "mismatch"
    assert await compared(database_url, payment) == {payment.payment_id: "mismatch/amount"}

    change(database_url, "UPDATE payment_mismatches SET resolved_at = now() WHERE payment_id = %s", payment.payment_id)
    assert await compared(database_url, payment) == {}
    assert await compared(database_url) == {}


async def test_refunds_are_held_against_what_the_ledger_took_back(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payments = [paid(place_order(database_url, account_id)) for _ in range(4)]
    untaken, overtaken, failing, failed = (refund_of(payment, 100) for payment in payments)
    await settle_all(
        context, *payments, overtaken, failing, msgspec.structs.replace(failed, status=RefundStatus.failed)
    )
    change(
        database_url,
        "INSERT INTO payment_refunds (gateway, refund_id, payment_id, amount_minor, happened_at, status, currency)"
        " VALUES ('plain', %s, %s, 100, now(), 1, 'USD')",
        untaken.refund_id, untaken.payment_id,
    )  # fmt: skip
    change(database_url, "UPDATE payment_refunds SET amount_minor = 50 WHERE refund_id = %s", overtaken.refund_id)

    assert await compared(
        database_url, *payments, untaken, msgspec.structs.replace(overtaken, amount=Money(50, "USD")),
        msgspec.structs.replace(failing, status=RefundStatus.failed), failed,
    ) == {
        untaken.refund_id: "missing_here/not_taken_back",
        overtaken.refund_id: "different_amount/credits",
        failing.refund_id: "missing_here/failed_there",
        failed.refund_id: "different_amount/failed_here",
    }  # fmt: skip


async def test_a_window_shows_only_its_own_and_nothing_that_the_two_sides_date_differently(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    since_us, until_us = NOW_US - DAY_US, NOW_US + DAY_US
    ours = [since_us + 5, since_us - 5, until_us - 5, until_us + 5, since_us + 9]
    theirs = [since_us - 5, since_us + 5, until_us + 5, until_us - 5, since_us - 9 * DAY_US]
    facts = [paid(place_order(database_url, account_id), at_us=at_us) for at_us in ours]
    await settle_all(context, *facts)
    moved = [msgspec.structs.replace(fact, at_us=at_us) for fact, at_us in zip(facts, theirs, strict=True)]
    before = paid(place_order(database_url, account_id), at_us=since_us - 1)
    first = paid(place_order(database_url, account_id), at_us=since_us)
    after = paid(place_order(database_url, account_id), at_us=until_us)

    gateway = ListingGateway([*moved, before, first, after])
    lines = await reconciled(database_url, gateway)

    assert differing(lines) == {first.payment_id: "missing_here/unknown"}
    assert {line.id for line in lines} == {moved[1].payment_id, moved[3].payment_id, first.payment_id}
    # Further back it was asked only because one seemed to be missing there.
    assert len(gateway.asked) == 2
    assert gateway.asked[1][1] == gateway.asked[0][0]


async def test_another_gateways_payments_are_not_ours_to_compare(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = place_order(database_url, account_id, gateway="plain2")
    await settle(context, "plain2", paid(order_id, payment_id="theirs"))

    assert await compared(database_url) == {}


async def test_what_is_missing_here_is_posted_once_however_often(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payments = [paid(place_order(database_url, account_id)) for _ in range(3)]
    refunds = [refund_of(payment, 400) for payment in payments]
    lost = paid(uuid4())
    wrong = paid(place_order(database_url, account_id), price=Money(1, "USD"))
    await settle_all(context, payments[0])
    gateway = ListingGateway([*payments, *refunds, lost, wrong])

    first = await reconciled(database_url, gateway, context=context)
    state = check_everything(database_url)
    second = await reconciled(database_url, gateway, context=context)

    posted = {line.id for line in first if line.after is not None and line.is_matched}
    assert posted == {payment.payment_id for payment in payments[1:]} | {refund.refund_id for refund in refunds}
    assert line_of(first, lost.payment_id).problem
    for lines in (first, second):
        assert differing(lines) == {lost.payment_id: "mismatch/order", wrong.payment_id: "mismatch/amount"}
    assert all(line.after is None for line in second)
    assert check_everything(database_url) == state
    assert [account.available for account in state] == [3 * 600 * CREDIT]


async def test_posting_beside_webhooks_credits_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payments = [paid(place_order(database_url, account_id)) for _ in range(40)]
    refunds = [refund_of(payment, 500) for payment in payments]
    gateway = ListingGateway([*payments, *refunds])

    async def webhooks() -> None:
        for payment, refund in zip(reversed(payments), reversed(refunds), strict=True):
            await asyncio.gather(settle(context, "plain", refund), settle(context, "plain", payment))

    lines, other, _ = await asyncio.gather(
        reconciled(database_url, gateway, context=context),
        reconciled(database_url, gateway, context=context),
        webhooks(),
    )

    assert differing([*lines, *other]) == {}
    (account,) = check_everything(database_url)
    assert account.available == 40 * 500 * CREDIT


async def test_a_list_that_says_the_same_thing_twice_has_one_line_of_it(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    payment = paid(place_order(database_url, account_id))
    refund = refund_of(payment, 10)
    pending = msgspec.structs.replace(payment, payment_id="pending", status=PaymentStatus.pending)
    await settle_all(context, payment, refund)

    lines = await reconciled(database_url, ListingGateway([payment, refund, payment, refund, pending]))

    assert [line.id for line in lines] == [payment.payment_id, refund.refund_id]
    assert differing(lines) == {}


async def test_an_order_that_is_not_there_yet_is_posted_once_it_is(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = uuid4()
    payment = paid(order_id)
    with pytest.raises(NotYet):
        await settle(context, "plain", payment)
    place_order(database_url, account_id, id=order_id)
    gateway = ListingGateway([payment])

    # It is listed as money that fits nothing; the next webhook, or somebody, takes it from there.
    assert differing(await reconciled(database_url, gateway, context=context)) == {payment.payment_id: "mismatch/order"}
    await settle_all(context, payment)
    assert differing(await reconciled(database_url, gateway)) == {}
