"""One whole Holdfast for all acceptance tests, as a user starts it, and clients for it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.running_instance import RunningInstance, running_instance

ADMIN_KEY = secrets.token_urlsafe(32)


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInstance]:
    """`holdfast up`, ready; whoever breaks it starts one of their own instead."""
    data_dir: Path = tmp_path_factory.mktemp("acceptance") / "data"
    with asyncio.Runner() as runner:
        running = running_instance(data_dir, HOLDFAST_BOOTSTRAP_ADMIN_KEY=ADMIN_KEY)
        yield runner.run(running.__aenter__())
        runner.run(running.__aexit__(None, None, None))


@pytest.fixture
async def admin(instance: RunningInstance) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(instance, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def user(instance: RunningInstance, admin: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A user of their own, with credits."""
    account = (await admin.post("/v1/accounts", json={"owner": secrets.token_hex(8)})).raise_for_status().json()
    (
        await admin.post(
            f"/v1/accounts/{account['id']}/top-ups", json={"amount": "1000"}, headers={"Idempotency-Key": "first"}
        )
    ).raise_for_status()
    made = await admin.post("/v1/keys", json={"account_id": account["id"], "role": "user", "name": "test"})
    async with _client(instance, made.raise_for_status().json()["key"]) as client:
        yield client


def _client(instance: RunningInstance, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=instance.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
    )
