"""Programs that know nothing of ours accept what we export of a generated year, and come to the same balances."""

import asyncio
import csv
import io
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import msgspec
import polars as pl
import psycopg
import pytest
from beancount import loader
from beancount.core.data import Transaction
from psycopg import sql

from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.services.postgres import OWNER, EmbeddedPostgres
from projections.exports.extent import NothingToExport
from projections.exports.files import ExportExists, Manifest
from projections.exports.run import FORMATS, export
from projections.journal import JOURNAL
from projections.status import read_status
from tests.builders import NOW_US
from tests.conftest import TEMPLATE
from tests.generated_year import generate_year
from tests.hledger_journal import read_balances
from tests.projected import MovableClock, bring_up

Balances = dict[tuple[str, str], Decimal]


@pytest.fixture(scope="module")
def year(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with a generated year in the journal; nothing here changes it."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE), sql.Identifier(OWNER)
            )
        )
        url = postgres.url_for(OWNER, name)
        asyncio.run(_generate(url))
        yield url
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def _generate(url: str) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(url, clock_us=clock) as writer:
        await generate_year(writer, clock)
    async with Database(url) as database:
        await bring_up(database, JOURNAL)
        async with database.connection() as connection:
            status = {build.name: build for build in await read_status(connection)}["journal"]
    assert (status.state, status.halt_reason) == ("current", None)


def our_balances(url: str) -> Balances:
    """Straight from the lines in the database, by the plainest possible sum."""
    balances: Counter[tuple[str, str]] = Counter()
    with psycopg.connect(url) as connection:
        names = dict(connection.execute("SELECT number, name FROM ledger_accounts").fetchall())
        for debit, credit, commodity, amount in connection.execute(
            "SELECT debit, credit, commodity, amount FROM journal_lines"
        ):
            balances[names[debit], commodity] += amount
            balances[names[credit], commodity] -= amount
    return {key: Decimal(amount) / 1_000_000 for key, amount in balances.items() if amount}


def beancount_balances(path: Path) -> Balances:
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("bean-check")), str(path)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    entries, errors, _ = loader.load_file(str(path))
    assert errors == []
    balances: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                assert posting.units is not None
                balances[posting.account, posting.units.currency] += posting.units.number  # type: ignore[assignment]
    return {key: Decimal(amount) for key, amount in balances.items() if amount}


def hledger_balances(path: Path) -> Balances:
    checked = subprocess.run(
        ["hledger", "check", "--strict", "-f", str(path)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    printed = subprocess.run(
        ["hledger", "balance", "-f", str(path), "--flat", "--no-total", "--layout=bare", "-O", "csv"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = csv.DictReader(io.StringIO(printed.stdout))
    return {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows if Decimal(row["balance"])}


def strict_reader_balances(path: Path) -> Balances:
    return read_balances(path)


def csv_balances(path: Path) -> Balances:
    return summed(rows_of(path))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def polars_balances(path: Path) -> Balances:
    return summed(pl.read_parquet(path).iter_rows(named=True))


def duckdb_balances(path: Path) -> Balances:
    with duckdb.connect() as connection:
        table = connection.read_parquet(str(path))
        return summed(dict(zip(table.columns, row, strict=True)) for row in table.fetchall())


def summed(rows: Any) -> Balances:
    balances: Balances = {}
    for row in rows:
        for account, sign in ((row["debit"], 1), (row["credit"], -1)):
            key = account, row["commodity"]
            balances[key] = balances.get(key, Decimal(0)) + sign * Decimal(row["amount"])
    return {key: amount for key, amount in balances.items() if amount}


JUDGES: list[tuple[str, str, Callable[[Path], Balances]]] = [
    ("beancount", "journal.beancount", beancount_balances),
    ("csv", "journal.csv", csv_balances),
    ("parquet", "journal.parquet", polars_balances),
    ("parquet", "journal.parquet", duckdb_balances),
    ("hledger", "journal.hledger", strict_reader_balances),
]
if shutil.which("hledger"):  # a program of its own, which no Python package brings along
    JUDGES.append(("hledger", "journal.hledger", hledger_balances))


@pytest.mark.parametrize(("format_name", "file", "judge"), JUDGES, ids=[judge.__name__ for _, _, judge in JUDGES])
async def test_a_judge_accepts_the_journal_and_comes_to_our_balances(
    year: str, tmp_path: Path, format_name: str, file: str, judge: Callable[[Path], Balances]
) -> None:
    await export(year, format_name=format_name, directory=tmp_path)

    assert judge(tmp_path / file) == our_balances(year)


@pytest.mark.parametrize(
    ("format_name", "file", "judge"),
    [judge for judge in JUDGES if judge[0] in {"beancount", "hledger"}],
    ids=[judge.__name__ for name, _, judge in JUDGES if name in {"beancount", "hledger"}],
)
async def test_a_judge_refuses_a_journal_in_which_a_millionth_was_moved(
    year: str, tmp_path: Path, format_name: str, file: str, judge: Callable[[Path], Balances]
) -> None:
    await export(year, format_name=format_name, directory=tmp_path)
    path = tmp_path / file
    text = path.read_text(encoding="utf-8")
    start = text.index("Equity:Credits:Used")
    dust = text.index("-0.000001 CREDIT", start)

    path.write_text(text[:dust].replace("0.000001 CREDIT", "0.000002 CREDIT")[:dust] + "-0.000002" + text[dust + 9 :])

    with pytest.raises(AssertionError):
        judge(path)


@pytest.mark.parametrize("format_name", sorted(FORMATS))
async def test_the_manifest_lists_every_file_with_its_rows_and_its_hash(
    year: str, tmp_path: Path, format_name: str
) -> None:
    returned = await export(year, format_name=format_name, directory=tmp_path / "new" / "directory")

    directory = tmp_path / "new" / "directory"
    manifest = msgspec.json.decode((directory / "manifest.json").read_bytes(), type=Manifest)
    assert manifest == returned
    assert {path.name for path in directory.iterdir()} == {"manifest.json", *(file.name for file in manifest.files)}
    for file in manifest.files:
        content = (directory / file.name).read_bytes()
        assert (file.sha256, file.bytes) == (sha256(content).hexdigest(), len(content))
    with psycopg.connect(year) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT seq), max(seq) FROM journal_lines").fetchone()
        sealed = connection.execute(
            "SELECT size, encode(root, 'hex') FROM ticks ORDER BY number DESC LIMIT 1"
        ).fetchone()
    assert rows is not None
    assert (manifest.seq, manifest.root) == sealed
    by_name = {file.name.partition(".")[0]: file.rows for file in manifest.files}
    assert by_name["journal"] == (rows[1] if format_name in {"beancount", "hledger"} else rows[0])
    assert by_name.get("events", manifest.seq) == manifest.seq


async def test_two_exports_of_one_moment_are_the_same_bytes(year: str, tmp_path: Path) -> None:
    for format_name in ("csv", "hledger", "beancount"):
        first = await export(year, format_name=format_name, directory=tmp_path / f"{format_name} 1")
        second = await export(year, format_name=format_name, directory=tmp_path / f"{format_name} 2")

        assert first == second


async def test_the_events_are_exported_as_they_are_stored(year: str, tmp_path: Path) -> None:
    await export(year, format_name="csv", directory=tmp_path)

    rows = rows_of(tmp_path / "events.csv")
    with psycopg.connect(year) as connection:
        stored = connection.execute(
            "SELECT sealed.seq::text, encode(hash, 'hex'), convert_from(body, 'UTF8'), command_key, amount FROM events"
            " JOIN sealed USING (position) ORDER BY sealed.seq"
        ).fetchall()
    assert [
        (row["seq"], row["hash"], row["body"], row["command_key"], int(Decimal(row["amount"]) * 1_000_000))
        for row in rows
    ] == stored  # fmt: skip


async def test_an_export_never_overwrites_another(year: str, tmp_path: Path) -> None:
    await export(year, format_name="csv", directory=tmp_path)

    with pytest.raises(ExportExists):
        await export(year, format_name="csv", directory=tmp_path)


async def test_there_is_nothing_to_export_before_anything_is_sealed(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToExport):
        await export(database_url, format_name="csv", directory=tmp_path)
