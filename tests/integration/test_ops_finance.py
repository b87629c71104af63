"""`holdfast projections` and the finance side of `holdfast audit` as programs: what they print, and how they exit."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from projections.catalogue import PROJECTIONS
from tests.builders import NOW_US
from tests.projected import MovableClock, bring_up, lives

TIMEOUT_S = 60


class Ran(msgspec.Struct, frozen=True):
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)


async def holdfast(url: str, *words: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def url(database: Database, database_url: str) -> str:
    """A database with some history, and all read models up to date."""
    async with LedgerWriter(database_url, clock_us=MovableClock(NOW_US)) as writer:
        await lives(writer, MovableClock(NOW_US), seed=3, accounts=2, steps=60)
    await bring_up(database, *PROJECTIONS)
    return database_url


async def test_the_status_tells_how_far_each_read_model_is_and_what_halted_it(url: str) -> None:
    fine = await holdfast(url, "projections", "status", "--json")

    assert fine.status == 0
    assert {item["name"]: item["state"] for item in fine.document["items"]} == dict.fromkeys(
        (projection.name for projection in PROJECTIONS), "current"
    )

    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE projection_builds SET halted_seq = 7, halted_at = now(), halt_reason = 'no idea'"
            " WHERE name = 'journal'"
        )
    halted = await holdfast(url, "projections", "status")

    assert halted.status == 1
    assert "before event 7: no idea" in halted.out
    assert "halted: journal" in halted.err


async def test_every_read_model_can_be_rebuilt_and_checked(url: str) -> None:
    for projection in PROJECTIONS:
        rebuilt = await holdfast(url, "projections", "rebuild", projection.name, "--json")
        assert (rebuilt.status, rebuilt.document["name"]) == (0, projection.name)

    checked = await holdfast(url, "projections", "check", "--json")
    assert checked.status == 0
    assert checked.document["differences"] == dict.fromkeys((projection.name for projection in PROJECTIONS), 0)

    with psycopg.connect(url) as connection:
        connection.execute("UPDATE statement_blocks SET seqs[2] = seqs[2] - 1 WHERE first_version = 1")
    changed = await holdfast(url, "projections", "check", "statements", "--json")
    assert changed.status == 1
    assert changed.document["differences"] == {"statements": 4}
    assert (await holdfast(url, "projections", "rebuild", "nonsense")).status == 2


async def test_an_export_is_written_once(url: str, tmp_path: Path) -> None:
    written = await holdfast(url, "audit", "export", "--format", "parquet", "--out", str(tmp_path / "out"), "--json")
    again = await holdfast(url, "audit", "export", "--format", "csv", "--out", str(tmp_path / "out"))

    assert (written.status, written.document["format"]) == (0, "parquet")
    assert (tmp_path / "out" / "manifest.json").exists()
    assert (again.status, len(again.err.strip().splitlines())) == (1, 1)


async def test_the_books_are_rolled_forward_and_closed_once(url: str) -> None:
    rolled = await holdfast(url, "audit", "rollforward", "--json")
    closed = await holdfast(url, "audit", "close", "--through", "2026-09-30", "--json")
    again = await holdfast(url, "audit", "close", "--through", "2026-09-30")
    listed = await holdfast(url, "audit", "periods", "--json")

    assert rolled.status == 0
    assert rolled.document["rollforward"][0]["commodity"] == "CREDIT"
    assert rolled.document["lots"]["credits_differ"] == 0
    assert closed.status == 0
    assert closed.document["report"]["through"] == "2026-09-30"
    assert again.status == 1
    assert [(item["through"], item["is_unchanged"]) for item in listed.document["items"]] == [("2026-09-30", True)]
    assert (await holdfast(url, "audit", "close", "--through", "yesterday")).status == 2


async def test_the_checks_of_closed_books_find_a_journal_that_was_changed(url: str) -> None:
    await holdfast(url, "audit", "close", "--through", "2026-09-30")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE journal_lines SET amount = amount + 1 WHERE credit = 9200")

    listed = await holdfast(url, "audit", "periods")
    rolled = await holdfast(url, "audit", "rollforward")

    assert (listed.status, rolled.status) == (1, 1)
    assert "CHANGED" in listed.out


async def test_policies_are_set_by_name_for_what_comes(url: str) -> None:
    before = await holdfast(url, "audit", "policy", "--json")
    after = await holdfast(
        url, "audit", "policy", "--set", "breakage=on_expiry", "--set", "promotion_value=0.01",
        "--set", "promotion_currency=EUR", "--json",
    )  # fmt: skip

    assert before.document["now"]["breakage"] == "deferred"
    assert (after.document["now"]["breakage"], after.document["now"]["promotion_value"]) == ("on_expiry", "0.01")
    assert len(after.document["all"]) == 1
    for nonsense in ("breakage=never", "promotion_value=a lot", "nonsense=1", "breakage"):
        assert (await holdfast(url, "audit", "policy", "--set", nonsense)).status == 2
