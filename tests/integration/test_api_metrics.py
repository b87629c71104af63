"""What /metrics says of generations, which no process of the API runs."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.generation_metrics import generation_metrics, queue_metrics
from ledger.database import Database
from projections.analytics import ANALYTICS, TIME_BOUNDS_US
from projections.analytics_totals import Total
from projections.rebuild import rebuild
from tests.api_in_process import Api, api_in_process
from tests.generations import settings_for
from tests.projected import bring_up
from workers.queue_counts import QueueCount
from workers.runtime import WorkerRuntime


@pytest.fixture
async def worker(api: Api, database_url: str, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(database_url, redis_url)) as worker:
        yield worker


async def generated(api: Api, worker: WorkerRuntime, *prompts: str) -> str:
    """Generations of a new account that have ended; return the account."""
    user, account_id = await api.user()
    for prompt in prompts:
        admitted = (await api.get(f"/v1/generations/{await api.generation(user, prompt)}")).json()
        await worker.run(admitted["id"], account_id=admitted["account_id"])
    return account_id


async def samples(api: Api) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = (await api.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for sample in samples
    }


def of_generations(found: dict[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in found.items()
        if name.startswith(("holdfast_generation", "holdfast_provider_c")) and "running" not in name
    }


async def test_metrics_count_what_workers_did_and_name_no_account(
    api: Api, worker: WorkerRuntime, database: Database
) -> None:
    account_id = await generated(api, worker, "one two three", "four")
    await bring_up(database, ANALYTICS)

    found = await samples(api)

    assert found["holdfast_platform_up"] == 1
    assert found["holdfast_generations_total model=echo operation=chat provider=echo status=completed"] == 2
    assert found["holdfast_provider_calls_total model=echo operation=chat provider=echo"] == 2
    assert found["holdfast_generation_input_characters_total model=echo operation=chat provider=echo"] == 17
    for part in ("total", "first_token", "database", "credit", "provider"):
        labels = f"operation=chat part={part} provider=echo"
        assert found[f"holdfast_generation_seconds_count {labels}"] == 2
        assert found[f"holdfast_generation_seconds_sum {labels}"] >= 0
    assert not any(account_id in name for name in found)


async def test_totals_do_not_go_back_when_processes_restart_and_read_models_are_rebuilt(
    api: Api, worker: WorkerRuntime, database: Database, database_url: str, redis_url: str
) -> None:
    await generated(api, worker, "one two three")
    await bring_up(database, ANALYTICS)
    before = of_generations(await samples(api))

    await rebuild(database, ANALYTICS, progress=lambda _taken, _total: None)
    async with api_in_process(database_url, redis_url) as another:
        after = of_generations(await samples(another))

    assert before
    assert after == before


async def test_metrics_show_how_many_wait_by_tier(api: Api) -> None:
    user, _ = await api.user()
    assert (await samples(api))["holdfast_queue_depth provider= tier=free"] == 0

    await api.generation(user, "not yet")

    found = await samples(api)
    assert sum(value for name, value in found.items() if name.startswith("holdfast_queue_depth")) == 1
    assert "holdfast_health fact=sealer_lag" in found


def test_each_bucket_of_a_histogram_has_all_that_took_no_longer() -> None:
    last = len(TIME_BOUNDS_US)
    totals = [
        Total("times", "", "openai", "chat", "5 0", 2),
        Total("times", "", "openai", "chat", f"5 {last}", 1),
        Total("time_us", "", "openai", "chat", "5", 900_000_000),
    ]

    (family,) = [one for one in generation_metrics(totals) if one.name == "holdfast_generation_seconds"]

    values = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert (values["0.001"], values["300"], values["+Inf"]) == (2, 2, 3)
    assert values["holdfast_generation_seconds_sum"] == 900
    assert {sample.labels["part"] for sample in family.samples} == {"provider"}


def test_limits_of_providers_stand_beside_what_runs() -> None:
    running = [QueueCount("running", 0, "openai", 3), QueueCount("waiting", 1, "openai", 5)]

    families = {family.name: family for family in queue_metrics(running, {"openai": 4})}

    assert [sample.value for sample in families["holdfast_generations_running"].samples] == [3]
    assert [sample.value for sample in families["holdfast_provider_limit"].samples] == [4]
    assert 5 in {sample.value for sample in families["holdfast_queue_depth"].samples}
