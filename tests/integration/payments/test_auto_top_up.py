"""Automatic top-ups at a Stripe that behaves as the real one: one charge at a time, bounded, capped to the cent."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import adjust, top_up
from tests.fakes.scripted_server import json_answer
from tests.ledger_state import check_everything
from tests.payments import CREDIT
from tests.wallets import Wallet, open_wallet
from workers.payments.auto_top_up.topping_up import top_up_accounts
from workers.payments.auto_top_up.wishes import disable_auto_top_up
from workers.payments.errors import (
    AutoTopUpNotFound,
    CurrencyNotOffered,
    GatewayNotConfigured,
    InvalidAutoTopUp,
    PackNotFound,
    SavedMethodMissing,
)
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money

SUSPENDED = "auto_top_up_suspended"


@pytest.fixture
async def wallet(database: Database, writer: LedgerWriter, database_url: str) -> AsyncIterator[Wallet]:
    async with open_wallet(database, writer, database_url) as wallet:
        yield wallet


async def test_a_balance_below_its_threshold_is_topped_up_once(wallet: Wallet, database_url: str) -> None:
    await wallet.wish()
    await wallet.spend(960)

    assert await wallet.tick() == 1
    assert await wallet.tick() == 0

    assert wallet.available() == 140
    (charged,) = wallet.charges()
    assert (charged["amount"], charged["currency"]) == (200, "usd")
    (account,) = check_everything(database_url)
    assert account.credited == 1_100 * CREDIT
    assert wallet.attempts() == [(1, 1)]


async def test_a_balance_at_its_threshold_buys_nothing(wallet: Wallet) -> None:
    await wallet.wish()

    await wallet.spend(950)
    assert await wallet.tick() == 0

    await wallet.spend(1)
    assert await wallet.tick() == 1


async def test_a_webhook_of_the_same_charge_changes_nothing(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend(960)
    await wallet.tick()

    await wallet.hear(wallet.stripe.take_webhooks())

    assert wallet.available() == 140
    assert await wallet.tick() == 0


async def test_a_target_buys_the_cheapest_pack_that_reaches_it(wallet: Wallet) -> None:
    await wallet.wish(pack=None, target_microcredits=400 * CREDIT)
    await wallet.spend(970)

    await wallet.tick()

    assert wallet.available() == 1_030


async def test_a_target_that_one_pack_does_not_reach_is_bought_in_several(wallet: Wallet) -> None:
    await wallet.wish(pack=None, threshold_microcredits=1_500 * CREDIT, target_microcredits=3_000 * CREDIT)

    while await wallet.tick():
        pass

    assert wallet.available() == 2_000


async def test_several_clocks_at_once_make_one_charge(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend(960)

    done = await asyncio.gather(*(wallet.tick() for _ in range(10)))

    assert sum(done) == 1
    assert len(wallet.charges()) == 1
    assert wallet.available() == 140


async def test_a_card_that_declines_in_a_storm_is_tried_three_times_and_then_never(wallet: Wallet) -> None:
    await wallet.wish()
    wallet.stripe.decline(wallet.card)
    tries: list[float] = []

    for hour in range(48):
        for _ in range(5):
            await wallet.spend_all()
            await asyncio.gather(*(wallet.tick() for _ in range(3)))
        await wallet.hear(wallet.stripe.take_webhooks())
        tries += [hour] * (len(wallet.attempts()) - len(tries))
        wallet.clock.pass_hours(1)

    assert tries == [0, 1, 7]
    assert [outcome for _, outcome in wallet.attempts()] == [2, 2, 2]
    assert wallet.messages().count(SUSPENDED) == 1
    shown = await wallet.shown()
    assert (shown.wish.suspended_at is not None, shown.wish.declines) == (True, 3)
    assert shown.charged_this_month == Money(0, "USD")
    assert wallet.charges() == []


async def test_success_between_declines_begins_the_count_again(wallet: Wallet) -> None:
    await wallet.wish()
    for _ in range(3):
        await wallet.spend_all()
        wallet.stripe.decline(wallet.card)
        await wallet.tick()
        wallet.clock.pass_hours(1)
        await wallet.tick()
        wallet.clock.pass_hours(6)
        wallet.stripe.accept(wallet.card)
        await wallet.tick()

    shown = await wallet.shown()
    assert (shown.wish.suspended_at, shown.wish.declines) == (None, 0)
    assert [outcome for _, outcome in wallet.attempts()] == [2, 2, 1] * 3


async def test_what_was_suspended_goes_on_once_it_is_set_again(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.stripe.decline(wallet.card)
    for hours in (1, 6, 1):
        await wallet.tick()
        wallet.clock.pass_hours(hours)
    wallet.stripe.accept(wallet.card)
    assert await wallet.tick() == 0

    await wallet.wish()
    await wallet.tick()

    assert wallet.available() == 100
    assert (await wallet.shown()).wish.suspended_at is None


@pytest.mark.parametrize("cap_minor", [999, 1_000, 1_001, 1_199])
async def test_a_spending_storm_before_several_clocks_never_costs_more_than_the_cap(
    wallet: Wallet, cap_minor: int
) -> None:
    await wallet.wish(monthly_cap=Money(cap_minor, "USD"))

    for _ in range(12):
        await wallet.spend_all()
        await asyncio.gather(*(wallet.tick() for _ in range(4)))

    charged = sum(each["amount"] for each in wallet.charges())
    assert charged == cap_minor // 200 * 200
    assert (await wallet.shown()).charged_this_month == Money(charged, "USD")


async def test_the_cap_is_that_of_the_month_in_the_accounts_time_zone(wallet: Wallet) -> None:
    # It is the evening of 31 October in UTC; in Moscow November begins between the two.
    before_us, after_us = 1_793_480_399_000_000, 1_793_480_400_000_000
    wallet.rows(
        "INSERT INTO account_contacts (account_id, email, locale, time_zone)"
        " VALUES (%s, 'ada@example.com', 'ru', 'Europe/Moscow') RETURNING 1",
        wallet.account_id,
    )
    wallet.clock.now_us = before_us
    await wallet.wish(monthly_cap=Money(300, "USD"))
    for _ in range(3):
        await wallet.spend_all()
        await wallet.tick()
    assert len(wallet.charges()) == 1

    wallet.clock.now_us = after_us
    for _ in range(3):
        await wallet.spend_all()
        await wallet.tick()

    assert len(wallet.charges()) == 2
    months = wallet.rows(
        "SELECT month::text, sum(amount_minor)::integer FROM auto_top_up_attempts GROUP BY 1 ORDER BY 1"
    )
    assert months == [("2026-10-01", 200), ("2026-11-01", 200)]


async def test_a_higher_cap_is_used_at_once(wallet: Wallet) -> None:
    await wallet.wish(monthly_cap=Money(200, "USD"))
    for _ in range(2):
        await wallet.spend_all()
        await wallet.tick()
    assert len(wallet.charges()) == 1

    await wallet.wish(monthly_cap=Money(400, "USD"))
    await wallet.tick()

    assert len(wallet.charges()) == 2


async def test_a_charge_that_was_made_and_not_answered_is_asked_for_again_and_made_once(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.stripe.after_acting(*(json_answer(503, {"error": {"type": "api_error"}}) for _ in range(3)))

    await wallet.tick()
    assert wallet.available() == 0
    assert await wallet.tick() == 0
    wallet.clock.pass_hours(1)
    await wallet.tick()

    assert wallet.available() == 100
    assert len(wallet.charges()) == 1
    assert wallet.attempts() == [(1, 1)]
    assert wallet.rows("SELECT tries FROM auto_top_up_attempts") == [(2,)]


async def test_what_a_webhook_says_of_an_ambiguous_charge_is_enough(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.stripe.after_acting(*(json_answer(503, {"error": {"type": "api_error"}}) for _ in range(3)))
    await wallet.tick()

    await wallet.hear(wallet.stripe.take_webhooks())
    calls = len(wallet.stripe.calls)
    wallet.clock.pass_hours(24)
    await wallet.tick()

    assert len(wallet.stripe.calls) == calls
    assert (wallet.available(), wallet.attempts()) == (100, [(1, 1)])


async def test_a_gateway_that_never_answers_is_asked_for_half_a_day_and_then_it_counts_as_charged(
    wallet: Wallet,
) -> None:
    await wallet.wish(monthly_cap=Money(300, "USD"))
    await wallet.spend_all()

    for _ in range(40):
        wallet.stripe.script(*(json_answer(503, {"error": {"type": "api_error"}}) for _ in range(3)))
        await wallet.tick()
        wallet.clock.pass_hours(0.5)

    assert wallet.attempts() == [(1, 3)]
    assert wallet.messages() == [SUSPENDED]
    assert (await wallet.shown()).charged_this_month == Money(200, "USD")


async def test_what_is_turned_off_buys_nothing_any_more(wallet: Wallet, database: Database) -> None:
    await wallet.wish()
    await wallet.spend_all()

    await disable_auto_top_up(database, wallet.account_id)
    await disable_auto_top_up(database, wallet.account_id)

    assert await wallet.tick() == 0
    with pytest.raises(AutoTopUpNotFound):
        await wallet.shown()


async def test_what_is_turned_off_while_a_charge_is_under_way_still_learns_what_came_of_it(
    wallet: Wallet, database: Database
) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.stripe.after_acting(*(json_answer(503, {"error": {"type": "api_error"}}) for _ in range(3)))
    await wallet.tick()

    await disable_auto_top_up(database, wallet.account_id)
    wallet.clock.pass_hours(1)
    await wallet.tick()
    await wallet.spend_all()

    assert wallet.attempts() == [(1, 1)]
    assert len(wallet.charges()) == 1
    assert await wallet.tick() == 0


async def test_an_attempt_that_was_written_and_never_asked_for_is_made_however_late(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.stripe.script(*(json_answer(503, {"error": {"type": "api_error"}}) for _ in range(3)))
    await wallet.tick()
    wallet.rows("UPDATE auto_top_up_attempts SET tries = 0 RETURNING 1")

    wallet.clock.pass_hours(48)
    await wallet.tick()

    assert (wallet.attempts(), len(wallet.charges())) == ([(1, 1)], 1)


async def test_what_a_refund_left_as_debt_is_not_charged_for_unasked(wallet: Wallet, writer: LedgerWriter) -> None:
    await wallet.wish()
    await wallet.spend_all()
    await writer.submit(adjust(-CREDIT, wallet.account_id, allow_negative=True))

    assert await wallet.tick() == 1
    assert await wallet.tick() == 0
    assert wallet.attempts() == []

    await writer.submit(top_up(2 * CREDIT, wallet.account_id))
    wallet.clock.pass_hours(1)
    await wallet.tick()
    assert wallet.available() == 101


async def test_a_card_that_the_gateway_does_not_know_any_more_counts_as_declined(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.rows("UPDATE saved_methods SET customer_id = 'cus_gone' RETURNING 1")

    await wallet.tick()

    assert wallet.attempts() == [(1, 2)]
    assert (await wallet.shown()).wish.declines == 1


async def test_a_gateway_whose_keys_are_gone_is_asked_for_nothing(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    context = wallet.context._replace(gateways=Gateways({}))

    assert await top_up_accounts(context, clock_us=wallet.clock) == 1

    assert wallet.attempts() == []
    wallet.clock.pass_hours(1)
    await wallet.tick()
    assert wallet.available() == 100


async def test_a_pack_that_is_not_sold_any_more_is_looked_for_again_later(wallet: Wallet) -> None:
    await wallet.wish()
    await wallet.spend_all()
    wallet.rows(
        "INSERT INTO shop_versions (kind, name, version, created_by, definition)"
        " SELECT kind, name, 2, 'test', definition || '{\"enabled\": false}' FROM shop_versions"
        " WHERE name = 'small' RETURNING 1"
    )

    assert await wallet.tick() == 1
    assert await wallet.tick() == 0
    wallet.clock.pass_hours(1)
    assert await wallet.tick() == 1

    assert wallet.attempts() == []


async def test_what_makes_no_sense_is_not_kept(wallet: Wallet) -> None:
    with pytest.raises(InvalidAutoTopUp):
        await wallet.wish(target_microcredits=100 * CREDIT)
    with pytest.raises(InvalidAutoTopUp):
        await wallet.wish(pack=None)
    with pytest.raises(InvalidAutoTopUp):
        await wallet.wish(pack=None, target_microcredits=50 * CREDIT)
    with pytest.raises(InvalidAutoTopUp):
        await wallet.wish(monthly_cap=Money(199, "USD"))
    with pytest.raises(InvalidAutoTopUp):
        await wallet.wish(monthly_cap=Money(0, "USD"))
    with pytest.raises(PackNotFound):
        await wallet.wish(pack="huge")
    with pytest.raises(CurrencyNotOffered):
        await wallet.wish(pack="large", monthly_cap=Money(10_000, "JPY"))
    with pytest.raises(CurrencyNotOffered):
        await wallet.wish(monthly_cap=Money(10_000, "EUR"))
    with pytest.raises(GatewayNotConfigured):
        await wallet.wish(gateway="yookassa")
    wallet.rows("DELETE FROM saved_methods RETURNING 1")
    with pytest.raises(SavedMethodMissing):
        await wallet.wish()


async def test_the_card_is_known_by_what_its_owner_calls_it(wallet: Wallet) -> None:
    await wallet.wish()

    method = (await wallet.shown()).wish.method

    assert method is not None
    assert (method.method_id, method.label) == (wallet.card, "Visa •• 4242")
