"""Whatever cards, gateways, clocks and customers do: no month costs more than its cap, no charge is lost or doubled."""

import asyncio
from typing import Literal, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.scripted_server import json_answer
from tests.payments import CREDIT
from tests.wallets import BOUGHT, Wallet, open_wallet
from workers.payments.money import Money

Move: TypeAlias = Literal["spend", "hour", "week", "decline", "accept", "acted", "away", "hear", "set"]
MOVES: tuple[Move, ...] = (
    "spend",
    "spend",
    "spend",
    "hour",
    "week",
    "decline",
    "accept",
    "acted",
    "away",
    "hear",
    "set",
)
TROUBLE = json_answer(503, {"error": {"type": "api_error"}})
ASKED_AT_ONCE = 3
"""So often the SDK asks, the first time included."""

PRICE = 200


async def make(wallet: Wallet, move: Move, cap: Money) -> None:
    match move:
        case "spend":
            await wallet.spend_all()
        case "hour":
            wallet.clock.pass_hours(1)
        case "week":
            wallet.clock.pass_hours(7 * 24)
        case "decline":
            wallet.stripe.decline(wallet.card)
        case "accept":
            wallet.stripe.accept(wallet.card)
        case "acted":
            wallet.stripe.after_acting(*[TROUBLE] * ASKED_AT_ONCE)
        case "away":
            wallet.stripe.script(*[TROUBLE] * ASKED_AT_ONCE)
        case "hear":
            await wallet.hear(wallet.stripe.take_webhooks())
        case "set":
            await wallet.wish(monthly_cap=cap)


def check(wallet: Wallet, cap: Money) -> None:
    """No month costs more than the cap, and what is known to be paid was charged and credited."""
    months = wallet.rows(
        "SELECT sum(attempts.amount_minor)::integer FROM auto_top_up_attempts AS attempts"
        " JOIN payment_orders AS orders ON orders.id = attempts.order_id"
        " WHERE attempts.account_id = %s AND (outcome <> 2 OR orders.state = 2) GROUP BY month",
        wallet.account_id,
    )
    assert all(month[0] <= cap.minor for month in months)
    paid = wallet.rows(
        "SELECT count(*) FROM payment_orders WHERE account_id = %s AND purpose = 'auto_top_up' AND state = 2",
        wallet.account_id,
    )
    assert paid[0][0] <= len(wallet.charges()) <= sum(month[0] for month in months) // PRICE


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.sampled_from(MOVES), min_size=5, max_size=25),
    cap_minor=st.integers(PRICE, 5 * PRICE),
    clocks=st.integers(1, 4),
)
async def test_no_storm_costs_more_than_the_cap_or_loses_a_charge(
    database: Database, writer: LedgerWriter, database_url: str, moves: list[Move], cap_minor: int, clocks: int
) -> None:
    cap = Money(cap_minor, "USD")
    async with open_wallet(database, writer, database_url) as wallet:
        await wallet.wish(monthly_cap=cap)
        for move in moves:
            await make(wallet, move, cap)
            await asyncio.gather(*(wallet.tick() for _ in range(clocks)))
            check(wallet, cap)

        # In the end Stripe is well, and what it says is heard.
        await wallet.hear(wallet.stripe.take_webhooks())
        wallet.clock.pass_hours(24)
        await wallet.tick()
        await wallet.hear(wallet.stripe.take_webhooks())

        check(wallet, cap)
        credited = wallet.rows("SELECT credited FROM accounts WHERE id = %s", wallet.account_id)[0][0]
        assert credited == BOUGHT + 100 * CREDIT * len(wallet.charges())
        assert all(outcome != 0 for _, outcome in wallet.attempts()[:-1])
