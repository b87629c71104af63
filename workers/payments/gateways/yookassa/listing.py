"""Lists of payments and refunds, page by page; never more than one page is in memory."""

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from workers.payments.gateway import GatewayError
from workers.payments.gateways.yookassa.http import YooKassaHttp
from workers.payments.gateways.yookassa.objects import Payment, PaymentPage, Refund, RefundPage
from workers.payments.gateways.yookassa.translating import NAME, us

Page = TypeVar("Page", PaymentPage, RefundPage)

PAGE: Final = 100
"""As many as YooKassa gives at once."""
MAX_PAGES: Final = 100_000
MAX_SEARCHED_PAGES: Final = 50

CLOCKS_US: Final = 10 * 60 * 1_000_000
"""How far YooKassa's clock and ours may be apart."""

_UUID7: Final = 7
_MILLISECOND_US: Final = 1_000


async def payments(
    http: YooKassaHttp, *, since_us: int, until_us: int, status: str = ""
) -> AsyncGenerator[Payment, None]:
    """Yield the payments that were made from one time up to another, newest first."""
    async for page in _pages(http, "payments", PaymentPage, _filters(since_us, until_us, status)):
        for payment in page.items:
            if since_us <= us(payment.created_at) < until_us:
                yield payment


async def refunds(http: YooKassaHttp, *, since_us: int, until_us: int) -> AsyncGenerator[Refund, None]:
    """Yield the refunds that were made from one time up to another, newest first."""
    async for page in _pages(http, "refunds", RefundPage, _filters(since_us, until_us)):
        for refund in page.items:
            if since_us <= us(refund.created_at) < until_us:
                yield refund


def made_at_us(order_id: UUID) -> int | None:
    """Return when an order was made, as far as its id tells."""
    return (order_id.int >> 80) * _MILLISECOND_US if order_id.version == _UUID7 else None


async def payment_of(http: YooKassaHttp, order_id: UUID, *, since_us: int, until_us: int) -> Payment | None:
    """Look for the payment of an order among all those of a time, and a little more.

    Raises:
        GatewayError: there are too many to look through.
    """
    filters = _filters(since_us - CLOCKS_US, until_us + CLOCKS_US)
    async for page in _pages(http, "payments", PaymentPage, filters, max_pages=MAX_SEARCHED_PAGES):
        for payment in page.items:
            if (payment.metadata or {}).get("order_id") == str(order_id):
                return payment
    return None


async def refunds_of(http: YooKassaHttp, payment_id: str) -> AsyncGenerator[Refund, None]:
    """Yield all refunds of a payment, newest first.

    Raises:
        GatewayError: there are too many to look through.
    """
    filters = {"payment_id": payment_id, "limit": str(PAGE)}
    async for page in _pages(http, "refunds", RefundPage, filters, max_pages=MAX_SEARCHED_PAGES):
        for refund in page.items:
            yield refund


async def _pages(
    http: YooKassaHttp, path: str, kind: type[Page], filters: dict[str, str], *, max_pages: int = MAX_PAGES
) -> AsyncGenerator[Page, None]:
    cursor = ""
    for _ in range(max_pages):
        page = await http.get(path, kind, params={**filters, **({"cursor": cursor} if cursor else {})})
        yield page
        if not page.next_cursor:
            return
        if page.next_cursor == cursor:
            raise GatewayError(NAME, f"the list of {path} goes round in circles", retryable=True)
        cursor = page.next_cursor
    raise GatewayError(NAME, f"the list of {path} is too long", retryable=False)


def _filters(since_us: int, until_us: int, status: str = "") -> dict[str, str]:
    """Ask for whole milliseconds, as YooKassa counts; what is too much is left out here."""
    since_ms, until_ms = since_us // _MILLISECOND_US, -(-until_us // _MILLISECOND_US)
    filters = {"created_at.gte": _written(since_ms), "created_at.lt": _written(until_ms), "limit": str(PAGE)}
    return {**filters, "status": status} if status else filters


def _written(moment_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
    return re.sub(r"\+00:00\Z", "Z", moment.isoformat(timespec="milliseconds"))
