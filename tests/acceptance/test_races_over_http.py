"""Parallel tabs, impatient clients, and an API that dies between what it promised and what it sent."""

import asyncio
import os
import signal
from pathlib import Path

import httpx

from tests.http_streams import read_to_end
from tests.running_instance import running_instance
from tests.waiting import eventually


async def _account(admin: httpx.AsyncClient, *, owner: str, amount: str) -> str:
    account = (await admin.post("/v1/accounts", json={"owner": owner})).raise_for_status().json()["id"]
    top_up = await admin.post(
        f"/v1/accounts/{account}/top-ups", json={"amount": amount}, headers={"Idempotency-Key": "top-up"}
    )
    top_up.raise_for_status()
    return account


async def test_of_fifty_parallel_freezes_of_thirty_a_balance_of_a_hundred_admits_three(
    admin: httpx.AsyncClient,
) -> None:
    account = await _account(admin, owner="fifty-tabs", amount="100")

    answers = await asyncio.gather(
        *[
            admin.post(
                f"/v1/accounts/{account}/freezes", json={"amount": "30"}, headers={"Idempotency-Key": f"tab-{tab}"}
            )
            for tab in range(50)
        ]
    )

    refused = [answer.json() for answer in answers if answer.status_code == 402]
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [402] * 47
    assert {(problem["code"], problem["required"], problem["available"]) for problem in refused} == {
        ("insufficient_credits", "30", "10")
    }
    heads = (await admin.get(f"/v1/accounts/{account}")).json()
    assert (heads["available"], heads["frozen"]) == ("10", "90")


async def test_twenty_parallel_posts_with_one_key_have_one_effect_and_one_answer(admin: httpx.AsyncClient) -> None:
    account = await _account(admin, owner="twenty-posts", amount="100")
    before = (await admin.get(f"/v1/accounts/{account}")).json()["version"]

    answers = await asyncio.gather(
        *[
            admin.post(f"/v1/accounts/{account}/freezes", json={"amount": "30"}, headers={"Idempotency-Key": "once"})
            for _ in range(20)
        ]
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19
    heads = (await admin.get(f"/v1/accounts/{account}")).json()
    assert (heads["available"], heads["frozen"], heads["version"]) == ("70", "30", before + 1)


async def test_twenty_parallel_generations_with_one_key_are_one_generation(user: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *[
            user.post(
                "/v1/generations",
                json={"model": "echo", "input": {"prompt": "only once"}},
                headers={"Idempotency-Key": "one generation"},
            )
            for _ in range(20)
        ]
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert (await read_to_end(user, answers[0].json()["id"])).text == "only once"
    assert len((await user.get("/v1/generations")).json()["items"]) == 1


async def test_an_api_killed_after_its_commit_and_before_its_dispatch_loses_no_generation(tmp_path: Path) -> None:
    async with (
        running_instance(tmp_path / "data") as instance,
        httpx.AsyncClient(base_url=instance.url, headers=instance.headers, timeout=30, trust_env=False) as user,
    ):
        redis, web = instance.pid_of("redis-server"), instance.pid_of(" web ")
        os.kill(redis, signal.SIGSTOP)
        try:
            answer = await user.post("/v1/generations", json={"model": "echo", "input": {"prompt": "not lost"}})
            assert answer.status_code == 202
            os.kill(web, signal.SIGKILL)
        finally:
            os.kill(redis, signal.SIGCONT)

        async def has_completed() -> bool:
            try:
                found = await user.get(f"/v1/generations/{answer.json()['id']}")
            except httpx.TransportError:
                return False
            return found.status_code == 200 and found.json()["status"] == "completed"

        await eventually(has_completed, within_s=15)
        client = await read_to_end(user, answer.json()["id"])
        balance = (await user.get("/v1/me/balance")).json()

    assert client.text == "not lost"
    assert balance["frozen"] == "0"
