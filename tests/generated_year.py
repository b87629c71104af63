"""A year of a business in miniature, with everything that makes bookkeeping hard."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from ledger.amounts import MAX_AMOUNT_MICROCREDITS
from ledger.rows import to_us
from ledger.writer import LedgerWriter
from tests.builders import adjust, charge, confirm, grant, reinstate, reverse, rollback, top_up
from tests.projected import Life, MovableClock, frozen, opened, submit

YEAR: Final = 2026
START_US: Final = to_us(datetime(YEAR, 1, 1, tzinfo=UTC))
DAY_US: Final = to_us(datetime(1970, 1, 2, tzinfo=UTC))


def month_us(month: int) -> int:
    """The tenth of a month, at noon."""
    return to_us(datetime(YEAR, month, 10, 12, tzinfo=UTC))


async def generate_year(writer: LedgerWriter, clock: MovableClock, *, seed: int = 5) -> list[UUID]:
    """Live through a year; the same one for the same seed but for its ids."""
    chance = random.Random(seed)
    ordinary = [Life(writer, clock, chance, poor=number % 2 == 1) for number in range(4)]
    clock.now_us = START_US
    ids = [await life.open() for life in ordinary]
    for month in range(1, 13):
        clock.now_us = month_us(month)
        for life in ordinary:
            await life.live(25)
        ids.append(await _customer_of_the_month(writer, clock, month))
    return ids


async def _customer_of_the_month(writer: LedgerWriter, clock: MovableClock, month: int) -> UUID:
    """A customer who meets, in order, each of the hard cases."""
    account_id = await opened(writer)
    paid, currency = [("19.99", "EUR"), ("2500", "JPY"), ("0.07", "USD"), ("12.345", "KWD")][month % 4]
    bought = await submit(
        writer,
        top_up(
            3_000_001,
            account_id,
            paid_amount=paid,
            paid_currency=currency,
            reference=f'Заказ №{month} "日本" 🧾; | \\ {{x}}',
            effective_at_us=clock.now_us - 40 * DAY_US if month % 3 == 0 else None,
        ),
    )
    await submit(writer, grant(5, account_id, reason="добро пожаловать", expires_at_us=clock.now_us + DAY_US))
    await submit(writer, charge(1, account_id, reference="dust"))
    half = await frozen(writer, account_id, 1_000_000)
    await submit(writer, confirm(half, 333_333, account_id))
    whole = await frozen(writer, account_id, 700_000)
    clock.now_us += 2 * DAY_US  # what was granted is over by now
    await submit(writer, rollback(whole, account_id))
    await submit(writer, reverse(bought.version, 1_000_000, account_id, reason="refund asked for"))
    lost = await submit(writer, reverse(bought.version, 2_000_000, account_id, reason="chargeback: fraud"))
    await submit(writer, reinstate(lost.version, account_id, reason="dispute won"))
    await submit(writer, reverse(bought.version, 1_500_000, account_id, reason="chargeback: again"))
    await submit(writer, adjust(-400_000, account_id, allow_negative=True))
    await submit(writer, adjust(250_000, account_id, reason="sorry"))
    await submit(writer, top_up(900_000, account_id, paid_amount="9.00", paid_currency="USD", source="карта"))
    if month == 6:
        great = await submit(
            writer,
            top_up(MAX_AMOUNT_MICROCREDITS, account_id, paid_amount="999999999999999.999999", paid_currency="USD"),
        )
        await submit(writer, charge(MAX_AMOUNT_MICROCREDITS - 7, account_id))
        await submit(writer, reverse(great.version, 3, account_id, reason="refund"))
    return account_id
