"""`holdfast audit verify` counts generations again, and finds figures that they do not add up to."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from ledger.database import Database
from ops.audit.verify import Report, verify
from projections.catalogue import PROJECTIONS
from projections.unbilled import place_unbilled
from tests.builders import rollback, top_up
from tests.generations import CREDIT, FREE, account_with, asks_for, generation_context, same_price, settings_for
from tests.projected import bring_up, submit
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.models import ModelDefinition
from workers.runtime import WorkerRuntime


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    """A catalogue with a model that costs, and one that is free."""
    async with generation_context(database_url, redis_url) as context:
        gratis = ModelDefinition(
            name="gratis", provider="echo", upstream_name="echo", context_tokens=10_000,
            default_output_tokens=100, max_output_tokens=1_000, enabled=True,
        )  # fmt: skip
        await context.catalogue.upsert_model(gratis, changed_by="test")
        await context.catalogue.set_price("gratis", prices=FREE, costs=same_price(1), changed_by="test")
        yield context


@pytest.fixture
async def generated(context: GenerationContext, redis_url: str, database: Database) -> None:
    """Generations that ended in several ways, of which one ended without an event, in all read models."""
    account_id = await account_with(context, 0)
    await submit(context.writer, top_up(10 * CREDIT, account_id, paid_amount="100", paid_currency="USD"))
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        for model in ("echo", "echo", "gratis"):
            request = asks_for("one two three", model=model)
            admitted = await admit(context, account_id, request, request_id="r")
            await worker.run(admitted.generation.id, account_id=account_id)
        cancelled = await admit(context, account_id, asks_for("never mind"), request_id="r")
        await cancel_generation(context, cancelled.generation.id, account_id=account_id)
        expired = await admit(context, account_id, asks_for("too late"), request_id="r")
        await submit(context.writer, rollback(expired.generation.id, account_id))
        await worker.run(expired.generation.id, account_id=account_id)
    await bring_up(database, *PROJECTIONS)
    while await place_unbilled(database):
        pass


async def verified(url: str) -> Report:
    return await verify(url, claims=[], trusted=[], progress=lambda _done, _total: None)


@pytest.mark.usefixtures("generated")
async def test_figures_of_generations_are_what_these_add_up_to(database_url: str) -> None:
    report = await verified(database_url)

    with psycopg.connect(database_url) as connection:
        counted = connection.execute("SELECT sum(generations), sum(credits) > 0 FROM analytics_generations").fetchone()
    assert counted == (5, True)
    assert [str(finding) for finding in report.findings] == []
    assert report.read_models["analytics"] == report.sealed


@pytest.mark.usefixtures("generated")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE analytics_generations SET credits = credits + 1",
        "UPDATE analytics_generations SET cost_microdollars = cost_microdollars + 1",
        "DELETE FROM analytics_generations WHERE model = 'gratis'",
        "UPDATE analytics_latencies SET bucket = bucket + 200",
        "UPDATE analytics_revenue SET revenue = revenue + 0.000001",
        "UPDATE analytics_account_days SET generations = generations + 1",
    ],
)
async def test_a_figure_that_was_changed_is_found(database_url: str, superuser_url: str, statement: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        changed = connection.execute(statement.encode())
        assert changed.rowcount > 0, "there is something to change"

    report = await verified(database_url)

    assert {finding.check for finding in report.findings} == {"analytics"}
    assert all("analytics_" in finding.problem for finding in report.findings)
