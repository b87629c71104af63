"""Mixed generations while workers are killed, Redis is flushed, a provider fails and readers break off.

`HOLDFAST_CHAOS_SEED` repeats a run as far as chance was ours: what the machine does in between is not.
"""

import json
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec import structs
from psycopg.rows import dict_row

from ops.audit.verify import verify
from tests.fakes import openai_server
from tests.faults.chaos import ANSWER, Chaos, FailingOpenAI
from tests.generations import account_with, generation_context, same_price
from tests.ledger_state import check_everything
from tests.waiting import eventually
from tests.worker_processes import Platform
from workers.context import GenerationContext
from workers.generations import GenerationStatus, terminal_of
from workers.models import ModelTimeouts
from workers.streams.hub import StreamHub
from workers.streams.terminal import text_sha256

MODEL, FALLBACK = "gpt-5.4-mini", "offline-text"
ACCOUNTS = 6
FIGURES = {
    "total_ms", "database_ms", "cache_read_ms", "credit_ms", "provider_ms", "cache_write_ms",
    "status", "provider", "fallback_used", "cache_hit", "input_length", "error_class",
}  # fmt: skip
COLUMNS = {
    "provider": "served_provider",
    "fallback_used": "fallback_used",
    "cache_hit": "cache_hit",
    "input_length": "input_length",
    "error_class": "error_code",
}
"""Which figures are columns of the row, too."""


@asynccontextmanager
async def seeded() -> AsyncGenerator[int]:
    """A seed, which whatever fails in the block tells."""
    seed = int(os.environ.get("HOLDFAST_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    try:
        yield seed
    except BaseException as failed:
        failed.add_note(f"again: HOLDFAST_CHAOS_SEED={seed}")
        raise


async def run_chaos(
    database_url: str,
    redis_url: str,
    directory: Path,
    *,
    count: int,
    workers: int,
    breaks_for_s: float,
    within_s: float,
) -> None:
    async with seeded() as seed, FailingOpenAI(seed) as provider:
        environment = {
            "OPENAI_API_KEY": openai_server.API_KEY,
            "OPENAI_BASE_URL": provider.base_url,
            "HOLDFAST_DATA_DIR": str(directory / "data"),
        }
        logs = directory / "logs"
        logs.mkdir()
        async with (
            generation_context(database_url, redis_url, environment) as context,
            StreamHub(redis_url, partial(terminal_of, context.database)) as hub,
        ):
            await offer(context)
            accounts = [await account_with(context, 100_000) for _ in range(ACCOUNTS)]
            with Platform(context, redis_url, hub, logs) as platform:
                platform.set_environment(**environment)
                platform.start_clock()
                chaos = Chaos(platform, hub, accounts, seed=seed)

                await chaos.run(count, workers=workers, breaks_for_s=breaks_for_s, within_s=within_s)

                assert min(chaos.kills, chaos.flushes) > 0, "nothing was broken"
                platform.check_books()
                check_everything(database_url)
                await check_audit(platform)
            check_analytics(database_url)
            rows = generations_in(database_url)
            check_streams(chaos, rows)
            check_calls(provider, chaos, rows)
            check_lines(logs, rows)


async def offer(context: GenerationContext) -> None:
    """Let the failing provider's model have a fallback, and little patience."""
    catalogue = context.catalogue
    definition = structs.replace(
        (await catalogue.offered(MODEL)).definition,
        fallbacks=(FALLBACK,),
        timeouts=ModelTimeouts(first_token_s=2, gap_s=2, total_s=30),
    )
    await catalogue.upsert_model(definition, changed_by="test")
    await catalogue.set_price(MODEL, prices=same_price(10), costs=same_price(2), changed_by="test")


def generations_in(database_url: str) -> dict[str, dict[str, Any]]:
    """All generations by their id, each with its output and its calls to the failing provider."""
    with psycopg.connect(database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT generations.*, output.body AS output, output.artifacts,"
            " (SELECT count(*) FROM generation_attempts AS made"
            "  WHERE made.generation_id = generations.id AND made.provider = 'openai') AS calls"
            " FROM generations LEFT JOIN generation_outputs AS output ON output.generation_id = generations.id"
        ).fetchall()
    return {str(row["id"]): row for row in rows}


def check_streams(chaos: Chaos, rows: dict[str, dict[str, Any]]) -> None:
    """What every reader has is what is kept, and it is what was to come out.

    That no event was missing or came twice, and that `end` names the text, the readers have checked as they went.
    """
    assert len(chaos.jobs) == len(rows)
    for job in chaos.jobs:
        row, client = rows[str(job.generation_id)], job.client
        assert client.end is not None
        assert client.end["status"] == GenerationStatus(row["status"]).name
        assert client.end["text_sha256"] == row["text_sha256"] == text_sha256(client.text)
        assert client.text == bytes(row["output"] or b"").decode()
        assert client.artifacts == json.loads(bytes(row["artifacts"] or b"[]"))
        if row["status"] == GenerationStatus.completed:
            if row["served_model"] == MODEL:
                assert client.text == "".join(ANSWER)
            elif row["model"] == "echo":
                assert client.text == job.prompt
            elif row["mode"] in {"image", "speech"}:
                assert len(client.artifacts) == 1
            elif row["mode"] == "structured":
                assert isinstance(client.structured_value, dict)
        elif row["status"] == GenerationStatus.failed:
            assert row["cost"] == 0
            assert row["error_code"]


def check_calls(provider: FailingOpenAI, chaos: Chaos, rows: dict[str, dict[str, Any]]) -> None:
    """No call that was not recorded: of a killed worker's calls the last one stands for what was running."""
    recorded = Counter[str]()
    for job in chaos.jobs:
        recorded[job.prompt] += rows[str(job.generation_id)]["calls"]
    for prompt, calls in provider.calls_of.items():
        assert calls <= recorded[prompt], prompt


def check_lines(logs: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Each generation has one last line with its figures; a worker that was killed may have taken it along."""
    lines = [
        json.loads(line)
        for log in logs.glob("*.log")
        for line in log.read_text().splitlines()
        if '"generation_ended"' in line and line.endswith("}")
    ]
    counted = Counter(line["generation_id"] for line in lines)
    assert set(counted.values()) == {1}
    assert len(counted) >= len(rows) * 0.8
    for line in lines:
        row = rows[line["generation_id"]]
        assert line.keys() >= FIGURES
        assert line["status"] == GenerationStatus(row["status"]).name
        for figure, column in COLUMNS.items():
            assert line[figure] == row[column], figure


def check_analytics(database_url: str) -> None:
    """Analytics, which say who served and why not, add up to what the generations say."""
    with psycopg.connect(database_url) as connection:
        counted = connection.execute(
            "SELECT provider, sum(generations), sum(fallbacks_used), sum(cache_hits), sum(input_length), sum(credits),"
            " sum(images), sum(calls), sum(cost_microdollars) FROM analytics_generations GROUP BY provider ORDER BY 1"
        ).fetchall()
        measured = connection.execute(
            "WITH ended AS (SELECT *, coalesce(served_provider, provider) AS server FROM generations),"
            " made AS (SELECT provider, count(*) AS calls, sum(cost_microdollars) AS cost FROM generation_attempts"
            "  GROUP BY provider),"
            " named AS (SELECT server AS name FROM ended UNION SELECT provider FROM made)"
            " SELECT named.name, count(ended.id), count(*) FILTER (WHERE fallback_used),"
            " count(*) FILTER (WHERE cache_hit), coalesce(sum(input_length), 0), coalesce(sum(ended.cost), 0),"
            " coalesce(sum(images), 0), coalesce(max(made.calls), 0), coalesce(max(made.cost), 0)"
            " FROM named LEFT JOIN ended ON ended.server = named.name LEFT JOIN made ON made.provider = named.name"
            " GROUP BY named.name ORDER BY 1"
        ).fetchall()
        classes = connection.execute(
            "SELECT error_class, sum(generations) FROM analytics_errors GROUP BY error_class ORDER BY 1"
        ).fetchall()
        codes = connection.execute(
            "SELECT error_code, count(*) FROM generations WHERE status = 4 GROUP BY error_code ORDER BY 1"
        ).fetchall()
    assert counted == measured
    assert classes == codes


async def check_audit(platform: Platform) -> None:
    """The auditor finds nothing, once all is sealed and taken in."""

    async def is_level() -> bool:
        async with platform.context.database.connection() as connection:
            cursor = await connection.execute(
                "SELECT (SELECT count(*) FROM events) = ALL (SELECT seq FROM projection_builds)"
                " AND NOT EXISTS (SELECT FROM unbilled_endings WHERE seq IS NULL)"
            )
            return await cursor.fetchone() == (True,)

    await eventually(is_level, within_s=30)
    report = await verify(platform.database_url, claims=[], trusted=(), progress=lambda _done, _total: None)
    assert report.findings == []


async def test_a_hundred_generations_survive_chaos(database_url: str, redis_url: str, tmp_path: Path) -> None:
    await run_chaos(database_url, redis_url, tmp_path, count=100, workers=2, breaks_for_s=15, within_s=70)


@pytest.mark.soak
async def test_five_hundred_generations_survive_chaos(database_url: str, redis_url: str, tmp_path: Path) -> None:
    await run_chaos(database_url, redis_url, tmp_path, count=500, workers=4, breaks_for_s=90, within_s=300)
