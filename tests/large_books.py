"""Books of tens of thousands of payments, and a gateway's list of them, that differ in every way at known places.

Everything about a payment follows from its number, so that neither side has to be kept in memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import psycopg

from ledger.commands import ReverseTopUp, TopUp
from ledger.rows import from_us
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.payments import CREDIT, NOW_US, PlainGateway
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.money import Money
from workers.payments.settling import payment_key

GATEWAY: Final = "large"
ACCOUNTS: Final = 200
STEP_US: Final = 30_000_000
CREDITS: Final = 1_000 * CREDIT

ODD_PAYMENTS: Final = {
    "unknown": "missing_here/unknown",
    "unpaid": "missing_here/unpaid",
    "uncredited": "missing_here/uncredited",
    "event_missing": "missing_here/event_missing",
    "unlisted": "missing_there/",
    "unnoted": "missing_there/unnoted",
    "amount": "different_amount/amount",
    "currency": "different_amount/currency",
    "ledger_amount": "different_amount/ledger_amount",
    "ledger_currency": "different_amount/ledger_currency",
    "credits": "different_amount/credits",
    "account": "different_amount/account",
    "order": "different_amount/order",
    "tax": "different_amount/tax",
    "paid_twice": "duplicate/order_paid_twice",
    "credited_twice": "duplicate/credited_twice",
    "mismatch": "mismatch/amount",
}
ODD_REFUNDS: Final = {
    "refund_unknown": "missing_here/unknown",
    "refund_untaken": "missing_here/not_taken_back",
    "refund_failed": "missing_here/failed_there",
    "refund_unlisted": "missing_there/",
    "refund_amount": "different_amount/amount",
    "refund_currency": "different_amount/currency",
    "refund_credits": "different_amount/credits",
}
POSTABLE: Final = frozenset(
    {"unknown", "unpaid", "uncredited", "refund_unknown", "refund_untaken", "refund_failed"}
)  # fmt: skip

UNCREDITED: Final = frozenset({"unknown", "unpaid", "uncredited", "event_missing", "mismatch"})
_ODD: Final = (*ODD_PAYMENTS, *ODD_REFUNDS)
_EVERY: Final = 71
"""So many payments are as they should be for each that is not."""

_STRIDE: Final = 7_919

_PRICES: Final = (Money(1_000, "USD"), Money(1_500, "JPY"), Money(9_900, "EUR"), Money(3_250, "KWD"))

_ACCOUNTS_AT_ONCE: Final = 10
"""Whose payments are written together. A batch of few accounts reads the lots of few, and each has hundreds."""


class LargeBooks(msgspec.Struct, frozen=True):
    """So many payments, from the first one on, half a minute apart."""

    count: int

    @property
    def since(self) -> datetime:
        """A time before all of them."""
        return from_us(NOW_US) - timedelta(days=1)

    @property
    def ends(self) -> datetime:
        """When the next one would be."""
        return from_us(NOW_US + self.count * STEP_US)

    @property
    def until(self) -> datetime:
        """A time after all of them, and after they were written."""
        return max(self.ends, datetime.now(UTC)) + timedelta(days=1)

    def expected(self) -> dict[str, str]:
        """What differs, by id."""
        differing: dict[str, str] = {}
        for number in range(self.count):
            odd = odd_of(number)
            if odd in ODD_PAYMENTS:
                differing[f"pay_{number}_again" if odd == "paid_twice" else f"pay_{number}"] = ODD_PAYMENTS[odd]
            elif odd in ODD_REFUNDS:
                differing[f"re_{number}"] = ODD_REFUNDS[odd]
        return differing

    def postable(self) -> set[str]:
        """The ids of what posting mends."""
        numbers = (number for number in range(self.count) if odd_of(number) in POSTABLE)
        return {f"{'re' if odd_of(number) in ODD_REFUNDS else 'pay'}_{number}" for number in numbers}

    async def write_orders(self, url: str) -> None:
        """Write what was asked for, and nothing of what was paid."""
        async with LedgerWriter(url) as writer:
            await asyncio.gather(*(writer.submit(open_account(account_of(number))) for number in range(ACCOUNTS)))
        _write_orders(url, self.count)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE payment_orders SET state = 1")

    async def write(self, url: str) -> None:
        """Write our side: orders and rows by the thousand, what the ledger has through its writer."""
        async with LedgerWriter(url) as writer:
            await asyncio.gather(*(writer.submit(open_account(account_of(number))) for number in range(ACCOUNTS)))
            _write_orders(url, self.count)
            _write_rows(url, self.count)
            for group in range(ACCOUNTS // _ACCOUNTS_AT_ONCE):
                numbers = [number for number in range(self.count) if number % ACCOUNTS // _ACCOUNTS_AT_ONCE == group]
                await asyncio.gather(*(_credit(writer, number) for number in numbers))


class LargeGateway(PlainGateway):
    """Lists its side of the books, in an order that has nothing to do with time."""

    name = GATEWAY

    def __init__(self, books: LargeBooks) -> None:
        self._books = books

    async def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Those in the window."""
        for step in range(self._books.count):
            for fact in theirs(step * _STRIDE % self._books.count):
                if since_us <= fact.at_us < until_us:
                    yield fact


def odd_of(number: int) -> str:
    """In which way a payment or its refund differs; empty if in none."""
    place, rest = divmod(number, _EVERY)
    return _ODD[place % len(_ODD)] if rest == 5 else ""


def account_of(number: int) -> UUID:
    """Whose a payment is."""
    return UUID(int=(0x0198 << 112) | (7 << 76) | (2 << 62) | (number % ACCOUNTS))


def order_of(number: int) -> UUID:
    """What it is for."""
    return UUID(int=(0x0199 << 112) | (7 << 76) | (2 << 62) | number)


def price_of(number: int) -> Money:
    """What was asked for it."""
    return _PRICES[number % len(_PRICES)]


def refunded_minor(number: int) -> int:
    """How much of it went back: of every tenth a quarter, and of those whose refunds are odd."""
    odd = odd_of(number)
    return price_of(number).minor // 4 if odd in ODD_REFUNDS or (not odd and number % 10 == 0) else 0


def theirs(number: int) -> Iterator[PaymentFact | RefundFact]:
    """What the gateway lists of a payment."""
    odd, price = odd_of(number), price_of(number)
    payment = PaymentFact(
        payment_id=f"pay_{number}",
        order_id=order_of(number),
        account_id=account_of(number),
        price=price,
        status=PaymentStatus.paid,
        at_us=NOW_US + number * STEP_US,
    )
    if odd == "amount":
        payment = msgspec.structs.replace(payment, price=Money(price.minor + 1, price.currency))
    elif odd == "currency":
        payment = msgspec.structs.replace(payment, price=Money(price.minor, "CHF"))
    elif odd == "tax":
        payment = msgspec.structs.replace(payment, tax=Money(1, price.currency))
    if odd not in {"unlisted", "unnoted"}:
        yield payment
    if odd == "paid_twice":
        yield msgspec.structs.replace(payment, payment_id=f"pay_{number}_again", at_us=payment.at_us + 1)
    if refunded_minor(number) and odd != "refund_unlisted":
        yield _refund(number, odd)


def _refund(number: int, odd: str) -> RefundFact:
    minor, currency = refunded_minor(number), price_of(number).currency
    return RefundFact(
        refund_id=f"re_{number}",
        payment_id=f"pay_{number}",
        amount=Money(minor + (odd == "refund_amount"), "CHF" if odd == "refund_currency" else currency),
        status=RefundStatus.failed if odd == "refund_failed" else RefundStatus.succeeded,
        at_us=NOW_US + number * STEP_US + 1_000_000,
    )


def _is_refunded_here(number: int) -> bool:
    return bool(refunded_minor(number)) and odd_of(number) != "refund_unknown"


def _taken_back(number: int) -> int:
    """Microcredits that the ledger took back."""
    odd = odd_of(number)
    if not _is_refunded_here(number) or odd == "refund_untaken":
        return 0
    return CREDITS * refunded_minor(number) // price_of(number).minor + (odd == "refund_credits")


def _write_orders(url: str, count: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        columns = (
            "(id, account_id, gateway, purpose, product, product_version, region, amount_minor, currency, credits,"
        )
        with cursor.copy(f"COPY payment_orders {columns} state, tax_inclusive) FROM STDIN") as copy:
            for number in range(count):
                odd, price = odd_of(number), price_of(number)
                copy.write_row((
                    order_of(number), account_of(number), GATEWAY, "pack", "starter", 1, "us",
                    price.minor + (odd == "order"), price.currency, CREDITS,
                    1 if odd in UNCREDITED - {"event_missing"} else 2, odd != "tax",
                ))  # fmt: skip


def _write_rows(url: str, count: int) -> None:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        columns = "(gateway, payment_id, account_id, order_id, amount_minor, credits, happened_at, status, currency,"
        with cursor.copy(f"COPY payments {columns} command_key) FROM STDIN") as copy:
            for number in range(count):
                odd, price = odd_of(number), price_of(number)
                if odd in {"unknown", "unnoted"}:
                    continue
                has_key = odd not in UNCREDITED or odd == "event_missing"
                copy.write_row((
                    GATEWAY, f"pay_{number}", account_of(number), order_of(number), price.minor,
                    CREDITS if has_key else 0, from_us(NOW_US + number * STEP_US), 0 if odd == "unpaid" else 2,
                    price.currency, payment_key(GATEWAY, f"pay_{number}") if has_key else None,
                ))  # fmt: skip
        columns = "(gateway, refund_id, payment_id, amount_minor, happened_at, status, currency)"
        with cursor.copy(f"COPY payment_refunds {columns} FROM STDIN") as copy:
            for number in filter(_is_refunded_here, range(count)):
                copy.write_row((
                    GATEWAY, f"re_{number}", f"pay_{number}", refunded_minor(number),
                    from_us(NOW_US + number * STEP_US), 1, price_of(number).currency,
                ))  # fmt: skip
        with cursor.copy(
            "COPY payment_reversals (gateway, payment_id, number, credits, cause, command_key) FROM STDIN"
        ) as copy:
            for number in filter(_taken_back, range(count)):
                copy.write_row((
                    GATEWAY, f"pay_{number}", 1, _taken_back(number), "refund",
                    f"{payment_key(GATEWAY, f'pay_{number}')}:reversal:1",
                ))  # fmt: skip
        for number in range(count):
            if odd_of(number) == "mismatch":
                cursor.execute(
                    "INSERT INTO payment_mismatches (gateway, payment_id, reason, amount_minor, currency, detail)"
                    " VALUES (%s, %s, 'amount', 1, 'USD', 'planted')",
                    (GATEWAY, f"pay_{number}"),
                )


async def _credit(writer: LedgerWriter, number: int) -> None:
    odd, price = odd_of(number), price_of(number)
    if odd in UNCREDITED:
        return
    other = account_of(number + 1)
    paid = Money(price.minor + (odd == "ledger_amount"), "AUD" if odd == "ledger_currency" else price.currency)
    top_up = TopUp(
        account_id=other if odd == "account" else account_of(number),
        command_key=payment_key(GATEWAY, f"pay_{number}"),
        amount_microcredits=CREDITS + (odd == "credits"),
        paid_amount=paid.text,
        paid_currency=paid.currency,
    )
    credited = await writer.submit(top_up)
    if odd == "credited_twice":
        await writer.submit(msgspec.structs.replace(top_up, account_id=other))
    if _taken_back(number):
        await writer.submit(
            ReverseTopUp(
                account_id=account_of(number),
                command_key=f"{top_up.command_key}:reversal:1",
                lot_number=credited.event.version,
                amount_microcredits=_taken_back(number),
                reason="refund",
            )
        )
