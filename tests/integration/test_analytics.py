"""Analytics add up to what the ledger and the generations say, once each, whichever way they got there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
from msgspec import structs

from ledger.database import Database
from ledger.writer import LedgerWriter
from projections.analytics import ANALYTICS
from projections.analytics_reports import (
    Days,
    latency_ms,
    read_conversion,
    read_daily_active,
    read_errors,
    read_margin,
    read_success,
    read_timings,
    read_top_accounts,
    read_usage,
)
from projections.checking import count_differences
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.runner import advance_active
from projections.status import read_status
from projections.unbilled import place_unbilled
from tests.builders import NOW_US, charge, confirm, open_account, rollback, top_up
from tests.generations import CREDIT, FREE, account_with, asks_for, generation_context, same_price, settings_for
from tests.projected import MovableClock, bring_up, frozen, lives, seal_all, submit
from workers import prompt_cache
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.models import ModelDefinition
from workers.pricing import Prices
from workers.runtime import WorkerRuntime

TODAY = datetime.now(UTC).date()
AROUND_NOW = Days(TODAY - timedelta(days=1), TODAY + timedelta(days=1))
DAY_US = 86_400_000_000

TABLES = {
    "analytics_generations": "day, account_id, model, provider, operation, outcome, generations, partial_outputs,"
    " estimated_usages, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, credits,"
    " shortfall, calls, calls_of_unknown_cost, cost_microdollars, fallbacks_used, cache_hits, input_length, images,"
    " pixels, duration_ms, characters",
    "analytics_latencies": "day, account_id, model, provider, operation, outcome, measure, bucket, generations",
    "analytics_errors": "day, account_id, model, provider, operation, error_class, generations",
    "analytics_totals": "counter, model, provider, operation, label, total",
    "analytics_revenue": "day, account_id, model, provider, operation, outcome, currency, credits, revenue",
    "analytics_account_days": "day, account_id, generations, freezes, charges, purchases, bought, granted, spent",
    "analytics_accounts": "account_id, opened_at, opened_on, first_bought_at",
}


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(cast("Any", query)).fetchall()


def contents(url: str, build: int) -> dict[str, set[tuple[Any, ...]]]:
    return {
        table: set(rows(url, f"SELECT {columns} FROM {table} WHERE build = {build}"))
        for table, columns in TABLES.items()
    }


def ignore(taken: int, total: int) -> None:
    """Show no progress."""


async def state_of(database: Database) -> str:
    async with database.connection() as connection:
        return next(build.state for build in await read_status(connection) if build.name == "analytics")


async def bring_up_all(database: Database) -> None:
    await bring_up(database, ANALYTICS)
    while await place_unbilled(database):
        pass
    assert await state_of(database) == "current"


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    """A catalogue with a model that costs, and one that is free."""
    async with generation_context(database_url, redis_url) as context:
        costs = Prices(
            input_per_mtok=2_000_000, output_per_mtok=4_000_000, cache_read_per_mtok=0, cache_write_per_mtok=0
        )
        await context.catalogue.set_price("echo", prices=same_price(300), costs=costs, changed_by="test")
        await context.catalogue.set_price("echo", prices=same_price(100), costs=costs, changed_by="test")
        gratis = ModelDefinition(
            name="gratis", provider="echo", upstream_name="echo", context_tokens=10_000,
            default_output_tokens=100, max_output_tokens=1_000, enabled=True,
        )  # fmt: skip
        await context.catalogue.upsert_model(gratis, changed_by="test")
        await context.catalogue.set_price("gratis", prices=FREE, costs=costs, changed_by="test")
        yield context


@pytest.fixture
async def worker(context: GenerationContext, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        yield worker


async def ask(context: GenerationContext, account_id: UUID, prompt: str, *, model: str = "echo") -> UUID:
    return (await admit(context, account_id, asks_for(prompt, model=model), request_id="r")).generation.id


async def generate(
    context: GenerationContext, worker: WorkerRuntime, account_id: UUID, prompt: str, *, model: str = "echo"
) -> UUID:
    generation_id = await ask(context, account_id, prompt, model=model)
    await worker.run(generation_id, account_id=account_id)
    return generation_id


async def generate_above_its_freeze(context: GenerationContext, worker: WorkerRuntime, account_id: UUID) -> None:
    """One that costs 1,800 microcredits where 600 were frozen: its price version is changed under it."""
    generation = (await admit(context, account_id, asks_for(max_output_tokens=3), request_id="r")).generation
    with psycopg.connect(context.database.url) as connection:
        connection.execute(
            "UPDATE generations SET max_output_tokens = 3, price_version = price_version - 1 WHERE id = %s",
            [generation.id],
        )
    await worker.run(generation.id, account_id=account_id)


async def some_generations(context: GenerationContext, worker: WorkerRuntime) -> tuple[UUID, UUID]:
    """Two accounts with every way a generation can end, the first of which paid for its credits."""
    buyer, tester = await account_with(context, 0), await account_with(context, 50)
    await submit(context.writer, top_up(10 * CREDIT, buyer, paid_amount="100", paid_currency="USD"))
    await generate(context, worker, buyer, "one two three")
    await generate(context, worker, tester, "one two")
    await generate(context, worker, buyer, "for nothing", model="gratis")
    await generate_above_its_freeze(context, worker, tester)
    cancelled = await ask(context, tester, "never mind")
    await cancel_generation(context, cancelled, account_id=tester)
    expired = await ask(context, tester, "too late")
    await submit(context.writer, rollback(expired, tester))
    await worker.run(expired, account_id=tester)
    by_hand = await ask(context, tester, "taken by hand")
    await submit(context.writer, confirm(by_hand, 77, tester))
    await worker.run(by_hand, account_id=tester)
    return buyer, tester


async def test_usage_counts_every_generation_once_and_ties_to_the_ledger(
    context: GenerationContext, worker: WorkerRuntime, database: Database, database_url: str
) -> None:
    await some_generations(context, worker)

    await bring_up_all(database)

    (counted,) = rows(database_url, "SELECT sum(generations), sum(credits), sum(calls) FROM analytics_generations")
    (ended,) = rows(database_url, "SELECT count(*), sum(cost) FROM generations WHERE status >= 2")
    (calls,) = rows(database_url, "SELECT count(*) FROM generation_attempts")
    (spent,) = rows(
        database_url,
        "SELECT sum(events.amount) FROM events WHERE kind = 7 OR (kind = 5 AND EXISTS (SELECT FROM generations"
        " WHERE generations.id = (convert_from(events.body, 'UTF8')::json ->> 'freeze_id')::uuid))",
    )
    (charged,) = rows(database_url, "SELECT sum(amount) FROM events WHERE kind = 7")
    assert charged == (1_200,)
    assert counted == (ended[0], spent[0], calls[0])
    assert spent[0] == ended[1] + 77, "what was taken by hand is in the ledger, and not in the generation's own cost"
    assert rows(database_url, "SELECT sum(credits) FROM analytics_revenue") == [spent]
    assert rows(database_url, "SELECT sum(spent) FROM accounts") == rows(
        database_url, "SELECT sum(spent) FROM analytics_account_days"
    )


async def test_usage_is_added_up_by_each_of_its_dimensions(
    context: GenerationContext, worker: WorkerRuntime, database: Database
) -> None:
    buyer, tester = await some_generations(context, worker)
    await bring_up_all(database)

    by_model = (await read_usage(database, AROUND_NOW, by="model", after="", limit=10)).rows
    by_user = (await read_usage(database, AROUND_NOW, by="user", after="", limit=10)).rows
    outcomes = (await read_success(database, AROUND_NOW, by="model", after="", limit=10)).rows

    assert [(row.key, row.generations) for row in by_model] == [("echo", 6), ("gratis", 1)]
    assert {row.key: row.generations for row in by_user} == {str(buyer): 2, str(tester): 5}
    assert [(row.completed, row.cancelled, row.failed, row.success_rate) for row in outcomes] == [
        (3, 1, 2, "0.6"),
        (1, 0, 0, "1"),
    ]
    for row in by_model:
        assert row.latency_p50 is not None
        assert row.first_token_p50 is not None
        assert row.first_token_p50 <= row.latency_p50 <= (row.latency_p95 or 0) <= (row.latency_p99 or 0)
    for by in ("provider", "operation", "day"):
        report = await read_usage(database, AROUND_NOW, by=by, after="", limit=10)
        assert sum(row.generations for row in report.rows) == 7
        assert sum(row.credits for row in report.rows) == sum(row.credits for row in by_model)


async def test_a_page_of_usage_goes_on_after_a_key(
    context: GenerationContext, worker: WorkerRuntime, database: Database
) -> None:
    await some_generations(context, worker)
    await bring_up_all(database)

    first = (await read_usage(database, AROUND_NOW, by="model", after="", limit=1)).rows
    second = (await read_usage(database, AROUND_NOW, by="model", after=first[0].key, limit=1)).rows
    nothing = await read_usage(database, AROUND_NOW, by="model", after=second[0].key, limit=1)

    assert (first[0].key, second[0].key, nothing.rows) == ("echo", "gratis", ())
    assert nothing.seq > 0


async def test_failures_are_counted_by_the_class_of_their_error(
    context: GenerationContext, worker: WorkerRuntime, database: Database
) -> None:
    buyer, tester = await some_generations(context, worker)
    await bring_up_all(database)

    by_user = (await read_errors(database, AROUND_NOW, by="user", after="", limit=10)).rows
    by_model = (await read_errors(database, AROUND_NOW, by="model", after="", limit=10)).rows
    after_it = await read_errors(database, AROUND_NOW, by="model", after=by_model[0].place, limit=10)

    assert [(row.key, row.error_class, row.generations) for row in by_user] == [(str(tester), "freeze_expired", 2)]
    assert str(buyer) not in {row.key for row in by_user}
    assert [(row.key, row.error_class, row.error_rate) for row in by_model] == [("echo", "freeze_expired", "0.4")]
    assert after_it.rows == ()


async def test_every_part_of_the_time_has_its_percentiles(
    context: GenerationContext, worker: WorkerRuntime, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_cache, "PATIENCE_S", 60)  # the second has to find what the first one kept
    account_id = await account_with(context)
    for _ in range(2):
        request = structs.replace(asks_for("the same again"), cache=True)
        generation = (await admit(context, account_id, request, request_id="r")).generation
        await worker.run(generation.id, account_id=account_id)
    await bring_up_all(database)

    timings = (await read_timings(database, AROUND_NOW, by="user", after="", limit=10)).rows
    (success,) = (await read_success(database, AROUND_NOW, by="provider", after="", limit=10)).rows
    (usage,) = (await read_usage(database, AROUND_NOW, by="operation", after="", limit=10)).rows

    assert {row.part: row.generations for row in timings} == {
        "total": 2, "first_token": 2, "database": 2, "cache_read": 2, "credit": 2, "provider": 2, "cache_write": 1,
    }  # fmt: skip
    assert all(row.p50 <= row.p95 <= row.p99 for row in timings)
    assert (success.key, success.cache_hits, success.cache_hit_rate) == ("echo", 1, "0.5")
    assert (success.fallbacks_used, success.fallback_rate) == (0, "0")
    assert (usage.key, usage.input_length) == ("chat", 2 * len("the same again"))


async def test_margin_sets_what_credits_were_bought_for_against_what_calls_cost(
    context: GenerationContext, worker: WorkerRuntime, database: Database
) -> None:
    buyer, tester = await some_generations(context, worker)
    await bring_up_all(database)

    margins = {
        (row.key, row.currency): row
        for row in (await read_margin(database, AROUND_NOW, by="user", after="", limit=10)).rows
    }

    bought = margins[str(buyer), "USD"]  # 600 of 10,000,000 microcredits that cost 100 USD; 5 tokens in, 5 out
    assert (bought.credits, bought.revenue, bought.provider_cost, bought.margin) == (600, "0.006", "0.00003", "0.00597")
    assert (bought.margin_rate, bought.calls) == ("0.995", 2)
    unpaid = margins[str(tester), ""]
    assert (unpaid.credits, unpaid.revenue, unpaid.margin_rate) == (400 + 1_800 + 77, "0", None)
    assert margins[str(tester), "USD"].margin.startswith("-")


async def test_a_rebuild_equals_what_was_kept_up_batch_by_batch(
    context: GenerationContext, worker: WorkerRuntime, database: Database, database_url: str
) -> None:
    one_by_one = Projection("analytics", ANALYTICS.apply, 1)
    await some_generations(context, worker)
    await seal_all(database)
    while await advance_active(database, one_by_one):
        await place_unbilled(database)
    await some_generations(context, worker)
    await bring_up_all(database)
    kept = contents(database_url, 0)

    await rebuild(database, ANALYTICS, progress=ignore)

    assert contents(database_url, 1) == kept
    assert all(kept.values())
    assert not any(contents(database_url, 0).values())


async def test_a_check_finds_a_figure_that_the_log_does_not_make(
    context: GenerationContext, worker: WorkerRuntime, database: Database, superuser_url: str
) -> None:
    await some_generations(context, worker)
    await bring_up_all(database)
    assert await count_differences(database, ANALYTICS, progress=ignore) == 0
    with psycopg.connect(superuser_url) as connection:
        connection.execute("UPDATE analytics_generations SET output_tokens = output_tokens + 1 WHERE model = 'gratis'")

    found = await count_differences(database, ANALYTICS, progress=ignore)

    assert found == 2, "the row as it is, and as it should be"


async def test_lives_of_any_kind_are_the_same_however_they_are_cut_into_batches(
    database: Database, database_url: str
) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await lives(writer, clock, seed=4, accounts=4, steps=150)
    await seal_all(database)
    while await advance_active(database, Projection("analytics", ANALYTICS.apply, 7)):
        pass
    kept = contents(database_url, 0)

    await rebuild(database, ANALYTICS, progress=ignore)

    assert contents(database_url, 1) == kept
    assert rows(database_url, "SELECT sum(spent) FROM accounts") == rows(
        database_url, "SELECT sum(spent) FROM analytics_account_days"
    )
    assert rows(database_url, "SELECT count(*) FROM accounts") == rows(
        database_url, "SELECT count(*) FROM analytics_accounts"
    )


async def test_a_generation_without_an_event_is_placed_once_and_in_every_build_that_is_past_its_place(
    context: GenerationContext, worker: WorkerRuntime, database: Database, database_url: str
) -> None:
    account_id = await account_with(context, 10)
    await generate(context, worker, account_id, "for nothing", model="gratis")
    assert await place_unbilled(database) == 0, "no event has been taken yet, so there is no place to give"
    await bring_up(database, ANALYTICS)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO projection_builds (name, build, seq) VALUES ('analytics', 1, 2)")

    placed = [await place_unbilled(database), await place_unbilled(database)]

    assert placed == [1, 0]
    assert rows(
        database_url, "SELECT build, sum(generations) FROM analytics_generations GROUP BY build ORDER BY 1"
    ) == [
        (0, 1),
        (1, 1),
    ]
    assert rows(database_url, "SELECT seq FROM unbilled_endings") == [(2,)]


async def test_free_generations_are_counted_once_while_builds_come_and_go(
    context: GenerationContext, worker: WorkerRuntime, database: Database, database_url: str
) -> None:
    account_id = await account_with(context, 10)
    await bring_up(database, ANALYTICS)
    finished = asyncio.Event()

    async def keep_placing() -> None:
        while not finished.is_set():
            await place_unbilled(database)

    async def keep_projecting() -> None:
        while not finished.is_set():
            await bring_up(database, ANALYTICS)

    async def keep_rebuilding() -> None:
        while not finished.is_set():
            await rebuild(database, ANALYTICS, progress=ignore)

    async with asyncio.TaskGroup() as group:
        for keep_doing in (keep_placing, keep_placing, keep_projecting, keep_rebuilding):
            group.create_task(keep_doing())
        for _ in range(25):
            await generate(context, worker, account_id, "for nothing", model="gratis")
            await submit(context.writer, charge(1, account_id))
        finished.set()
    await bring_up_all(database)

    active = "build = (SELECT active FROM projections WHERE name = 'analytics')"
    assert rows(database_url, f"SELECT sum(generations) FROM analytics_generations WHERE {active}") == [(25,)]
    assert rows(database_url, f"SELECT sum(generations) FROM analytics_account_days WHERE {active}") == [(25,)]
    assert await count_differences(database, ANALYTICS, progress=ignore) == 0


async def test_the_projection_halts_where_a_settled_generation_is_not_there(
    context: GenerationContext, worker: WorkerRuntime, database: Database, superuser_url: str
) -> None:
    account_id = await account_with(context, 10)
    generation_id = await generate(context, worker, account_id, "one")
    with psycopg.connect(superuser_url) as connection:
        connection.execute("DELETE FROM generations WHERE id = %s", [generation_id])

    await bring_up(database, ANALYTICS)

    assert await state_of(database) == "halted"


async def test_daily_active_accounts_are_those_that_did_something_themselves(
    database: Database, database_url: str
) -> None:
    clock = MovableClock(NOW_US - NOW_US % DAY_US)
    first_day = datetime.fromtimestamp(clock.now_us / 1_000_000, UTC).date()
    ids = [UUID(int=number) for number in range(1, 4)]
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        for account_id in ids:
            await submit(writer, open_account(account_id))
            await submit(writer, top_up(5 * CREDIT, account_id))
        freeze_id = await frozen(writer, ids[0], 3)
        clock.now_us += DAY_US
        await submit(writer, charge(2, ids[0]))
        await submit(writer, charge(2, ids[1]))
        clock.now_us += DAY_US
        await submit(writer, confirm(freeze_id, 1, ids[0]))
    await bring_up_all(database)
    days = Days(first_day, first_day + timedelta(days=3))

    found = (await read_daily_active(database, days)).rows
    top = (await read_top_accounts(database, days, by="spent", limit=10)).rows

    assert [(row.active_accounts, row.buying_accounts, row.opened_accounts) for row in found] == [
        (1, 3, 3),
        (2, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
    ]
    assert [(row.account_id, row.spent, row.active_days) for row in top] == [(ids[0], 3, 2), (ids[1], 2, 1)]


async def test_conversion_counts_accounts_that_bought_within_the_days_given(
    database: Database, database_url: str
) -> None:
    clock = MovableClock(NOW_US - NOW_US % DAY_US)
    opened_on = datetime.fromtimestamp(clock.now_us / 1_000_000, UTC).date()
    ids = [UUID(int=number) for number in range(1, 4)]
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        for account_id in ids:
            await submit(writer, open_account(account_id))
        clock.now_us += 3 * DAY_US - 1
        await submit(writer, top_up(1, ids[0]))
        clock.now_us += 1
        await submit(writer, top_up(1, ids[1]))
        await submit(writer, top_up(1, ids[0]))
    await bring_up_all(database)
    day = Days(opened_on, opened_on)

    (within_three,) = (await read_conversion(database, day, within_days=3)).rows
    (within_four,) = (await read_conversion(database, day, within_days=4)).rows

    assert (within_three.opened_accounts, within_three.converted_accounts) == (3, 1)
    assert (within_three.bought_ever_accounts, within_three.conversion_rate) == (2, "0.3333")
    assert within_four.conversion_rate == "0.6667"


@pytest.mark.parametrize("took_ms", [1, 2, 3, 10, 37, 250, 999, 12_345, 3_600_000, 86_400_000])
async def test_a_percentile_is_within_two_and_a_half_percent_of_the_time_it_stands_for(
    database_url: str, took_ms: int
) -> None:
    ((bucket,),) = rows(database_url, f"SELECT ceil(ln({took_ms}::double precision) / ln(1.05))::smallint")

    estimate = latency_ms(bucket)

    assert estimate is not None
    assert abs(estimate - took_ms) <= 0.025 * took_ms + 0.5
