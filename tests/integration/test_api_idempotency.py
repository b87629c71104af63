import asyncio
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection

from api.forgetting import forget
from tests.api_in_process import Api


async def test_twenty_parallel_requests_with_one_key_have_one_effect_and_one_answer(api: Api) -> None:
    body = {"owner": uuid4().hex}

    answers = await asyncio.gather(*(api.post("/v1/accounts", body, key="once") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19


async def test_a_request_whose_original_still_runs_is_told_so(api: Api, database_url: str) -> None:
    async with await AsyncConnection.connect(database_url) as running:
        await running.execute(
            "INSERT INTO idempotent_requests (principal, idempotency_key, request_sha256)"
            " VALUES ('bootstrap', 'slow', sha256(''))"
        )

        refused = await api.post("/v1/accounts", {"owner": "o"}, key="slow")

        await running.rollback()
    assert (refused.status_code, refused.json()["code"]) == (409, "request_in_progress")
    assert refused.headers["retry-after"] == "1"
    assert (await api.post("/v1/accounts", {"owner": "o"}, key="slow")).status_code == 201


async def test_a_refused_request_leaves_its_key_free(api: Api, database_url: str) -> None:
    missing = await api.post("/v1/keys", {"role": "user", "name": "x", "account_id": str(uuid4())}, key="k")

    made = await api.post("/v1/keys", {"role": "service", "name": "x"}, key="k")

    assert (missing.status_code, made.status_code) == (404, 201)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM idempotent_requests").fetchone() == (1,)


async def test_one_key_may_be_used_once_on_each_account(api: Api) -> None:
    first, second = await api.account(None), await api.account(None)

    answers = [
        await api.post(f"/v1/accounts/{account}/top-ups", {"amount": "1"}, key="same") for account in (first, second)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert all("idempotency-replayed" not in answer.headers for answer in answers)


async def test_a_key_of_another_path_is_reused(api: Api) -> None:
    headers, _ = await api.user()
    first, second = await api.generation(headers), await api.generation(headers)

    cancelled = await api.post(f"/v1/generations/{first}/cancel", key="c", headers=headers)
    again = await api.post(f"/v1/generations/{first}/cancel", key="c", headers=headers)
    reused = await api.post(f"/v1/generations/{second}/cancel", key="c", headers=headers)

    assert (cancelled.status_code, again.status_code, again.content) == (202, 202, cancelled.content)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_recorded_answers_are_forgotten_after_a_week_and_ledger_commands_never(
    api: Api, superuser_url: str
) -> None:
    account_id = await api.account(None)
    path, body = f"/v1/accounts/{account_id}/top-ups", {"amount": "1"}
    await api.post(path, body, key="ledger")
    for key in ("old", "new"):
        await api.post("/v1/keys", {"role": "service", "name": key}, key=key)
    with psycopg.connect(superuser_url) as connection:
        connection.execute(
            "UPDATE idempotent_requests SET created_at = now() - interval '8 days' WHERE idempotency_key = 'old'"
        )

    assert await forget(api.application.routed.services.requests_database) == 1

    old = await api.post("/v1/keys", {"role": "service", "name": "old"}, key="old")
    new = await api.post("/v1/keys", {"role": "service", "name": "new"}, key="new")
    topped_up = await api.post(path, body, key="ledger")
    assert "idempotency-replayed" not in old.headers
    assert new.headers["idempotency-replayed"] == topped_up.headers["idempotency-replayed"] == "true"
