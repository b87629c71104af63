"""Analytics over HTTP: what is asked for, in JSON and in CSV, from the sums alone."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ledger.database import Database
from projections.analytics import ANALYTICS
from projections.unbilled import place_unbilled
from tests.api_in_process import Api, bearer
from tests.generations import settings_for
from tests.projected import bring_up
from workers.runtime import WorkerRuntime

REPORTS = ["usage", "margin", "success-rates", "timings", "top-accounts", "daily-active", "conversion"]
GROUPED = ["usage", "margin", "success-rates"]


@pytest.fixture
async def worker(api: Api, database_url: str, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(database_url, redis_url)) as worker:
        yield worker


@pytest.fixture
async def history(api: Api, worker: WorkerRuntime, database: Database) -> list[str]:
    """Two accounts that generated, the first twice."""
    account_ids: list[str] = []
    for prompts in (["one two three", "four"], ["five"]):
        user, account_id = await api.user()
        account_ids.append(account_id)
        for prompt in prompts:
            generation_id = await api.generation(user, prompt)
            admitted = (await api.get(f"/v1/generations/{generation_id}")).json()
            await worker.run(admitted["id"], account_id=admitted["account_id"])
    await bring_up(database, ANALYTICS)
    while await place_unbilled(database):
        pass
    return account_ids


def as_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_text(value: Any) -> str:
    return "" if value is None else str(value)


@pytest.mark.parametrize("report", REPORTS)
async def test_a_report_says_the_same_in_json_and_in_csv(api: Api, history: list[str], report: str) -> None:
    path = f"/v1/analytics/{report}"
    in_json = await api.get(path)

    by_query = await api.get(path, params={"format": "csv"})
    by_header = await api.get(path, headers={"Accept": "text/csv, application/json;q=0.5"})
    preferred = await api.get(path, params={"format": "json"}, headers={"Accept": "text/csv"})

    body = in_json.json()
    assert body["items"]
    assert preferred.json() == body
    assert by_query.headers["Content-Type"].startswith("text/csv")
    assert by_query.text == by_header.text
    assert as_csv(by_query.text) == [{name: as_text(value) for name, value in item.items()} for item in body["items"]]
    assert by_query.headers["X-As-Of-Seq"] == str(body["as_of_seq"])
    assert by_query.headers["X-As-Of"] == body["as_of"]


@pytest.mark.parametrize("report", REPORTS)
async def test_a_report_says_which_days_and_events_it_covers(
    api: Api, history: list[str], database_url: str, report: str
) -> None:
    await api.account()

    asked = datetime.now(UTC)
    body = (await api.get(f"/v1/analytics/{report}")).json()
    answered = datetime.now(UTC)

    # It may be midnight at any moment.
    days = {asked.date(), answered.date()}
    assert (body["from"], body["to"]) in {(str(day - timedelta(days=29)), str(day)) for day in days}
    with psycopg.connect(database_url) as connection:
        (sealed,) = connection.execute("SELECT max(size) FROM ticks").fetchone() or (None,)
    assert (body["as_of_seq"], body["behind"]) == (sealed, 0)
    assert timedelta(0) <= answered - datetime.fromisoformat(body["as_of"]) < timedelta(hours=1)


async def test_a_report_says_how_many_sealed_events_it_lacks(api: Api, history: list[str], database: Database) -> None:
    before = (await api.get("/v1/analytics/usage")).json()
    await api.account()
    await bring_up(database)

    behind = (await api.get("/v1/analytics/usage")).json()

    assert (behind["as_of_seq"], behind["behind"]) == (before["as_of_seq"], 2)


async def test_no_report_reads_generations_or_the_ledger(api: Api, history: list[str], database_url: str) -> None:
    expected = {report: (await api.get(f"/v1/analytics/{report}")).json() for report in REPORTS}
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "REVOKE ALL ON events, sealed, accounts, account_owners, lots, freezes, reversals, generations,"
            " generation_attempts, generation_requests, generation_outputs, unbilled_endings, statement_lines,"
            " journal_lines, balance_snapshots FROM holdfast_app"
        )

    answers = {report: await api.get(f"/v1/analytics/{report}") for report in REPORTS}

    assert {report: answer.json() for report, answer in answers.items()} == expected


@pytest.mark.parametrize("report", GROUPED)
@pytest.mark.parametrize("by", ["user", "model", "provider", "operation", "day"])
async def test_figures_by_anything_add_up_to_the_same(api: Api, history: list[str], report: str, by: str) -> None:
    items = (await api.get(f"/v1/analytics/{report}", params={"by": by})).json()["items"]

    counted = "provider_calls" if report == "margin" else "generations"
    assert sum(item[counted] for item in items) == 3
    if by == "user":
        assert {item["key"] for item in items} == set(history)


@pytest.mark.parametrize("report", [*GROUPED, "timings"])
async def test_the_pages_of_a_report_make_the_whole(api: Api, history: list[str], report: str) -> None:
    path = f"/v1/analytics/{report}"
    whole = (await api.get(path, params={"by": "user"})).json()
    assert whole["next_cursor"] is None
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(len(whole["items"])):
        given = {"by": "user", "limit": 1, **({} if cursor is None else {"cursor": cursor})}
        page = await api.get(path, params=given)
        found += page.json()["items"]
        cursor = page.json()["next_cursor"]
        assert page.headers.get("X-Next-Cursor") == cursor

    assert cursor is None
    assert found == whole["items"]


async def test_top_accounts_come_in_the_order_asked_for(api: Api, history: list[str]) -> None:
    by_spent = (await api.get("/v1/analytics/top-accounts")).json()["items"]
    by_generations = (await api.get("/v1/analytics/top-accounts", params={"by": "generations"})).json()["items"]

    assert [item["account_id"] for item in by_spent] == history
    assert [(item["account_id"], item["generations"]) for item in by_generations] == [(history[0], 2), (history[1], 1)]


async def test_days_without_figures_are_empty_but_fresh(api: Api, history: list[str]) -> None:
    long_ago = {"from": "2020-01-01", "to": "2020-01-02"}

    usage = (await api.get("/v1/analytics/usage", params=long_ago)).json()
    active = (await api.get("/v1/analytics/daily-active", params=long_ago)).json()
    table = await api.get("/v1/analytics/usage", params={**long_ago, "format": "csv"})

    assert usage["items"] == []
    assert usage["as_of_seq"] > 0
    assert [(item["day"], item["active_accounts"]) for item in active["items"]] == [
        ("2020-01-01", 0),
        ("2020-01-02", 0),
    ]
    assert table.text.startswith("key,generations,")
    assert as_csv(table.text) == []


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"from": "2026-02-30"}, 400),
        ({"to": "20260101"}, 400),
        ({"from": "yesterday"}, 400),
        ({"from": "2026-01-02", "to": "2026-01-01"}, 422),
        ({"from": "2025-01-01", "to": "2026-01-02"}, 422),
        ({"from": "2025-01-01", "to": "2026-01-01"}, 200),
        ({"to": "0001-01-01"}, 200),
        ({"to": "9999-12-31"}, 200),
        ({"by": "moon"}, 400),
        ({"format": "xml"}, 400),
        ({"limit": "0"}, 400),
        ({"limit": "10001"}, 400),
        ({"cursor": "not one!"}, 400),
        ({"cursor": "AAAA"}, 400),
        ({"cursor": "_w"}, 400),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(api: Api, given: dict[str, str], status: int) -> None:
    assert (await api.get("/v1/analytics/usage", params=given)).status_code == status


async def test_finance_reads_reports_and_users_and_services_do_not(api: Api) -> None:
    finance, service = await api.role("finance"), await api.role("service")
    user = bearer((await api.key("user", await api.account()))["key"])

    statuses = [(await api.get("/v1/analytics/usage", headers=who)).status_code for who in (finance, service, user)]

    assert statuses == [200, 403, 403]
