"""The report of transactions: what PayPal's books say, window by window and page by page.

A transaction appears in it up to three hours late, and one search covers 31 days and 10,000 lines at the most, so a
window with more of them is halved.
"""

from collections.abc import AsyncGenerator
from typing import Final

from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paypal.amounts import money_of
from workers.payments.gateways.paypal.errors import Refusal
from workers.payments.gateways.paypal.http import PayPalHttp
from workers.payments.gateways.paypal.reading import ours
from workers.payments.gateways.paypal.times import first_us, format_s
from workers.payments.gateways.paypal.wire import NAME, TransactionInfo, TransactionPage
from workers.payments.money import NotMoney

PATH: Final = "/v1/reporting/transactions"
WINDOW_S: Final = 31 * 86_400
PAGE_SIZE: Final = 500
MAX_PAGES: Final = 10_000 // PAGE_SIZE
"""More pages than this a search does not have."""

_MICROS: Final = 1_000_000
_PAYMENT: Final = "T00"
_REFUND: Final = "T1107"
"""A refund by the seller. The other codes of its group are reversals and holds, which the disputes tell of."""

_PAYMENT_STATUS: Final = {"S": PaymentStatus.paid, "V": PaymentStatus.paid}
"""`V` is a payment that was taken back entirely since. The others, pending and denied, brought no money."""

_REFUND_STATUS: Final = {"S": RefundStatus.succeeded, "V": RefundStatus.failed, "P": RefundStatus.pending}

_TOO_LARGE: Final = "RESULTSET_TOO_LARGE"
_NOT_YET: Final = "data for the given start date is not available"


async def listed(http: PayPalHttp, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
    """Yield all payments and refunds of a time, window by window. Holds one page of lines at a time.

    Raises:
        GatewayError: the report cannot be had.
    """
    # The report knows whole seconds, and both ends of a window belong to it.
    begins_s, ends_s = -(-since_us // _MICROS), -(-until_us // _MICROS) - 1
    while begins_s <= ends_s:
        window = (begins_s, min(begins_s + WINDOW_S - 1, ends_s))
        async for fact in _of_window(http, window):
            yield fact
        begins_s = window[1] + 1


async def _of_window(http: PayPalHttp, window: tuple[int, int]) -> AsyncGenerator[PaymentFact | RefundFact, None]:
    """Yield what a window holds. Halving is bounded by the window's length: 22 times down to one second."""
    waiting = [window]
    while waiting:
        begins_s, ends_s = waiting.pop()
        try:
            first = await _page(http, begins_s, ends_s, 1)
        except Refusal as refusal:
            if _says_nothing_yet(refusal):
                continue
            if not _is_too_large(refusal) or begins_s == ends_s:
                raise
            middle_s = (begins_s + ends_s) // 2
            waiting += [(middle_s + 1, ends_s), (begins_s, middle_s)]
            continue
        for fact in _facts(first):
            yield fact
        if first.total_pages > MAX_PAGES:
            raise GatewayError(NAME, f"GET {PATH}: a search of {first.total_pages} pages", retryable=False)
        for number in range(2, first.total_pages + 1):
            for fact in _facts(await _page(http, begins_s, ends_s, number)):
                yield fact


async def _page(http: PayPalHttp, begins_s: int, ends_s: int, number: int) -> TransactionPage:
    parameters = {
        "start_date": format_s(begins_s),
        "end_date": format_s(ends_s),
        "fields": "transaction_info",
        "balance_affecting_records_only": "Y",
        "page_size": str(PAGE_SIZE),
        "page": str(number),
    }
    return await http.get(PATH, TransactionPage, parameters)


def _facts(page: TransactionPage) -> list[PaymentFact | RefundFact]:
    facts = (_fact(detail.transaction_info) for detail in page.transaction_details)
    return [fact for fact in facts if fact is not None]


def _fact(line: TransactionInfo) -> PaymentFact | RefundFact | None:
    """Return what a line says, if it is a payment to us or a refund by us."""
    if line.transaction_amount is None:
        return None
    is_debit = line.transaction_amount.value.startswith("-")
    try:
        amount = money_of(line.transaction_amount)
    except NotMoney as error:
        raise GatewayError(NAME, f"transaction {line.transaction_id}: {error}", retryable=False) from error
    at_us = first_us(line.transaction_initiation_date)
    if at_us is None:
        raise GatewayError(NAME, f"transaction {line.transaction_id} has no time", retryable=False)
    if line.transaction_event_code.startswith(_PAYMENT) and not is_debit:
        status = _PAYMENT_STATUS.get(line.transaction_status)
        order_id, account_id = ours(line.custom_field)
        return None if status is None else PaymentFact(
            payment_id=line.transaction_id, order_id=order_id, account_id=account_id, price=amount, status=status,
            at_us=at_us,
        )  # fmt: skip
    if line.transaction_event_code == _REFUND and is_debit and line.paypal_reference_id:
        refunded = _REFUND_STATUS.get(line.transaction_status)
        return None if refunded is None else RefundFact(
            refund_id=line.transaction_id, payment_id=line.paypal_reference_id, amount=amount, status=refunded,
            at_us=at_us,
        )  # fmt: skip
    return None


def _is_too_large(refusal: Refusal) -> bool:
    return _TOO_LARGE in (refusal.problem_name, *refusal.issues)


def _says_nothing_yet(refusal: Refusal) -> bool:
    """Whether the window begins after the last time that the report was brought up to date."""
    return any(_NOT_YET in words.lower() for words in refusal.words)
