"""Webhooks of a gateway: how soon they are acknowledged, and how many of those that are kept are settled per second."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from bench.figures import Figure, percentile
from bench.http import paced
from bench.platform import Platform, running
from bench.wire import request

SECRET: Final = "whsec_of_the_bench"  # noqa: S105 - of a gateway that is not there
SETTINGS: Final = {"STRIPE_API_KEY": "sk_test_bench", "STRIPE_WEBHOOK_SECRET": SECRET}
ACCOUNTS: Final = 2_000
"""Everybody buys a few packs: whoever has thousands of lots is no customer."""

OPENED_AT_ONCE: Final = 16
PER_S: Final = 200
PACED_S: Final = 15.0
WARM_UP_S: Final = 2.0
P99_BAR_MS: Final = 20.0
STORED: Final = 10_000
SETTLED_BAR: Final = 500
SETTLED_TIMEOUT_S: Final = 300
POLL_S: Final = 0.05

_ORDERS: Final = """
COPY payment_orders (
    id, account_id, gateway, purpose, product, product_version, region, amount_minor, currency, credits
) FROM STDIN
"""
_EVENTS: Final = """
INSERT INTO payment_inbox (gateway, event_id, kind, object_id, request_id, headers, body)
SELECT 'stripe', event_id, 'checkout.session.completed', 'cs_bench', '', '{}', body
FROM unnest(%s::text[], %s::bytea[]) AS stored (event_id, body)
"""


async def run() -> list[Figure]:
    """Measure on a platform of its own. Nothing is fetched: the events say all that is needed, and are signed."""
    async with running(**SETTINGS) as platform:
        accounts = await _accounts(platform)
        live = itertools.repeat(request("GET", "/health/live", key=platform.admin_key))
        bare_s = await paced(platform, live, seconds=PACED_S / 3, per_s=PER_S)
        webhooks = iter([*_signed(await _orders(platform, accounts, int(PER_S * (WARM_UP_S + PACED_S))))])
        await paced(platform, webhooks, seconds=WARM_UP_S, per_s=PER_S)
        acknowledged_s = await paced(platform, webhooks, seconds=PACED_S, per_s=PER_S)
        await _settled(platform)
        settled_per_s = await _stored(platform, accounts)
    return [
        *(
            Figure(
                suite="payments",
                name=f"webhook acknowledged at {PER_S}/s, each settled meanwhile, p{fraction * 100:.0f}",
                value=percentile(acknowledged_s, fraction) * 1_000,
                unit="ms",
                bar=P99_BAR_MS if fraction == 0.99 else None,
                at_most=True,
                yardstick="GET /health/live, ms",
                yardstick_value=percentile(bare_s, fraction) * 1_000,
            )
            for fraction in (0.50, 0.99)
        ),
        Figure(
            suite="payments",
            name=f"{STORED:,} stored events settled by one worker",
            value=settled_per_s,
            unit="events/s",
            bar=SETTLED_BAR,
        ),
    ]


async def _accounts(platform: Platform) -> list[UUID]:
    numbers = iter(range(ACCOUNTS))
    opened: list[UUID] = []
    async with platform.client() as client:

        async def open_some() -> None:
            for number in numbers:
                answer = await client.post("/v1/accounts", json={"owner": f"payer-{number}"})
                opened.append(UUID(answer.raise_for_status().json()["id"]))

        await asyncio.gather(*(open_some() for _ in range(OPENED_AT_ONCE)))
    return opened


async def _orders(platform: Platform, accounts: list[UUID], count: int) -> list[bytes]:
    """Place so many orders, and return the event of each that says it is paid."""
    made = [(uuid7(), account_id) for account_id, _ in zip(itertools.cycle(accounts), range(count), strict=False)]
    async with (
        await psycopg.AsyncConnection.connect(platform.database_url) as connection,
        connection.cursor() as cursor,
        cursor.copy(_ORDERS) as copy,
    ):
        for order_id, account_id in made:
            await copy.write_row(
                (order_id, account_id, "stripe", "pack", "starter", 1, "us", 1_000, "USD", 1_000_000_000)
            )
    return [_event(order_id, account_id) for order_id, account_id in made]


def _event(order_id: UUID, account_id: UUID) -> bytes:
    session: dict[str, Any] = {
        "id": f"cs_{order_id.hex}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "payment_intent": f"pi_{order_id.hex}",
        "amount_total": 1_000,
        "amount_subtotal": 1_000,
        "currency": "usd",
        "created": int(time.time()),
        "metadata": {"order_id": str(order_id), "account_id": str(account_id)},
        "total_details": {"amount_tax": 0, "amount_discount": 0, "amount_shipping": 0},
    }
    event = {
        "id": f"evt_{order_id.hex}",
        "object": "event",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": session},
    }
    return json.dumps(event).encode()


def _signed(events: list[bytes]) -> Iterator[bytes]:
    for body in events:
        now_s = int(time.time())
        signature = hmac.new(SECRET.encode(), b"%d." % now_s + body, hashlib.sha256).hexdigest()
        headers = f"Stripe-Signature: t={now_s},v1={signature}\r\n"
        yield request("POST", "/webhooks/stripe", key="", body=body, headers=headers)


async def _stored(platform: Platform, accounts: list[UUID]) -> float:
    """Store many events at once, and return how many of them are settled per second."""
    events = await _orders(platform, accounts, STORED)
    async with await psycopg.AsyncConnection.connect(platform.database_url) as connection:
        await connection.execute(_EVENTS, ([f"stored_{number}" for number in range(STORED)], events))
    began_s = time.monotonic()
    await _settled(platform)
    return STORED / (time.monotonic() - began_s)


async def _settled(platform: Platform) -> None:
    """Wait until every event is settled.

    Raises:
        TimeoutError: that takes too long.
        RuntimeError: one cannot be.
    """
    async with (
        asyncio.timeout(SETTLED_TIMEOUT_S),
        await psycopg.AsyncConnection.connect(platform.database_url, autocommit=True) as connection,
    ):
        while True:
            statement = "SELECT count(*) FILTER (WHERE state = 0), max(last_error) FROM payment_inbox WHERE state <> 1"
            row = await (await connection.execute(statement)).fetchone()
            assert row is not None, "an aggregate has a row"
            if row[1] is not None:
                raise RuntimeError(f"an event was not settled: {row[1]}")
            if row[0] == 0:
                return
            await asyncio.sleep(POLL_S)
