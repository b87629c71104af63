"""What holds for every request: its id, its limits, and an answer that programs can read whatever goes wrong."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
import structlog
from psycopg.sql import SQL, Identifier

from tests.api_in_process import Api, api_in_process

PROBLEM = {"type", "title", "status", "detail", "code", "request_id"}


@pytest.mark.parametrize("given", ["a", "req-1:2/3+4=5@6_7.8", "x" * 128])
async def test_a_sane_request_id_is_taken_over(api: Api, given: str) -> None:
    answer = await api.get("/v1/me", headers={"X-Request-ID": given})

    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "{}"])
async def test_any_other_request_id_is_replaced(api: Api, given: str) -> None:
    answer = await api.get("/nowhere", headers={"X-Request-ID": given})

    assert UUID(answer.headers["x-request-id"]).version == 7
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_the_request_id_goes_with_a_generation_to_the_worker(api: Api) -> None:
    headers, _ = await api.user()
    body = {"model": "echo", "input": {"prompt": "x"}}

    answer = await api.post("/v1/generations", body, headers={**headers, "X-Request-ID": "from-the-caller"})

    async with api.application.routed.services.database.connection() as connection:
        cursor = await connection.execute("SELECT request_id FROM outbox")
        assert await cursor.fetchall() == [("from-the-caller",)]
    assert answer.headers["x-request-id"] == "from-the-caller"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/accounts/not-an-id", 404, "not_found"),
        ("GET", "/v1/accounts/%00", 404, "not_found"),
        ("GET", "/v1/../../etc/passwd", 404, "not_found"),
        ("PUT", "/v1/accounts", 405, "method_not_allowed"),
        ("TRACE", "/v1/accounts", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = await api.client.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= PROBLEM
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", None, 400, "malformed_request"),
        (b"{", None, 400, "malformed_request"),
        (b'{"owner": "\xff"}', None, 400, "malformed_request"),
        (b'{"owner": "\\ud800"}', None, 400, "malformed_request"),
        (b'{"owner": NaN}', None, 400, "malformed_request"),
        (b'{"owner": ' + b"[" * 100_000, None, 422, "invalid_request"),
        (b'{"owner": "o"}', "text/plain", 415, "unsupported_media_type"),
        (b"owner=o", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"owner": "' + b"x" * 1_048_576 + b'"}', None, 413, "body_too_large"),
        (b'{"owner": "o"}', "application/json; charset=utf-8", 201, None),
        (b'{"owner": "o"}', "application/vnd.api+json", 201, None),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: Api, body: bytes, content_type: str | None, status: int, code: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}

    answer = await api.client.post("/v1/accounts", content=body, headers=headers)

    assert (answer.status_code, answer.json().get("code")) == (status, code)


async def test_a_body_nested_beyond_reason_is_refused(api: Api) -> None:
    headers, _ = await api.user()
    body = b'{"model": "echo", "input": {"prompt": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}"

    answer = await api.client.post("/v1/generations", content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def test_a_body_that_comes_in_pieces_is_bounded_too(api: Api) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = await api.client.post("/v1/accounts", content=pieces())

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_field_that_does_not_fit_is_named(api: Api) -> None:
    answer = await api.post("/v1/accounts", {"owner": 7})

    assert answer.json()["errors"] == [{"field": "$.owner", "message": "Expected `str`, got `int`"}]


async def test_options_names_every_method_of_a_path(api: Api) -> None:
    answer = await api.client.options("/v1/keys")

    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, OPTIONS, POST")


async def test_a_bug_answers_500_without_saying_what_it_is(
    api: Api, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail at /path/to/file")

    monkeypatch.setattr("api.accounts.account_answer", breaks)

    answer = await api.get("/v1/accounts/01980000-0000-7000-8000-000000000000")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert [entry["event"] for entry in logged] == ["unexpected_error"]


async def test_a_database_that_is_away_answers_503_and_when_to_come_back(
    api: Api, superuser_url: str, database_name: str
) -> None:
    account_id = await api.account()
    with psycopg.connect(superuser_url, dbname="postgres", autocommit=True) as connection:
        forbid = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(database_name))
        connection.execute(forbid)
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database_name])

        away = await api.get(f"/v1/accounts/{account_id}")
        health = await api.get("/health/ready")
        alive = await api.get("/health/live")

    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "dependency_unavailable", "1")
    assert (health.status_code, health.json()["checks"]["postgres"]["ok"]) == (503, False)
    assert alive.status_code == 200


async def test_readiness_measures_all_that_work_depends_on(api: Api) -> None:
    ready = await api.get("/health/ready")

    assert ready.status_code == 200
    assert set(ready.json()["checks"]) == {"postgres", "redis", "sealer_lag", "queue"}


async def test_redis_that_is_away_is_named_by_readiness(database_url: str) -> None:
    async with api_in_process(database_url, "redis://127.0.0.1:1/0") as api:
        ready = await api.get("/health/ready")
        account_id = await api.account("5")

    checks = ready.json()["checks"]
    assert (ready.status_code, checks["redis"]["ok"], checks["postgres"]["ok"]) == (503, False, True)
    assert account_id, "the ledger does not need Redis"


async def test_metrics_count_requests_by_route_and_not_by_path(api: Api) -> None:
    account_id = await api.account()
    await api.get(f"/v1/accounts/{account_id}")

    metrics = (await api.get("/metrics")).text

    assert 'holdfast_http_requests_total{method="GET",route="/v1/accounts/{account_id}",status="200"}' in metrics
    assert account_id not in metrics


async def test_the_schema_describes_every_route_and_is_complete(api: Api) -> None:
    document = (await api.get("/schema/openapi.json", headers={"Authorization": ""})).json()

    assert document["openapi"] == "3.1.0"
    assert len(document["paths"]) >= 25
    references = [part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]]
    assert set(references) <= set(document["components"]["schemas"])
    operation_ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(operation_ids)) == len(operation_ids)


async def test_it_stops_at_once_however_soon_after_it_started(database_url: str, redis_url: str) -> None:
    for turns in range(20):
        started = contextlib.AsyncExitStack()
        await started.enter_async_context(api_in_process(database_url, redis_url))
        for _ in range(turns * 5):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await started.aclose()


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries  # pyright: ignore[reportReturnType]


async def test_the_lag_of_the_checkpoints_is_a_metric_and_no_reason_to_be_unready(api: Api) -> None:
    ready = await api.get("/health/ready")
    metrics = await api.get("/metrics")

    assert "checkpoint_lag" not in ready.json()["checks"]
    assert 'holdfast_health{fact="checkpoint_lag"} +Inf' in metrics.text
