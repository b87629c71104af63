"""The log and the journal as tables: CSV straight from Postgres, and Parquet made of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, LiteralString

import duckdb
from psycopg import AsyncConnection

from ledger.events import Kind
from projections.exports.extent import Extent, sql
from projections.exports.files import ExportedFile, hashed_file, summary_of

ROW_GROUP: Final = 50_000

_AMOUNT: Final = "DECIMAL(24,6)"

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "events": {
        "seq": "BIGINT",
        "account_id": "VARCHAR",
        "version": "BIGINT",
        "kind": "VARCHAR",
        "amount": _AMOUNT,
        "available_after": _AMOUNT,
        "frozen_after": _AMOUNT,
        "recorded_at": "TIMESTAMPTZ",
        "command_key": "VARCHAR",
        "body": "VARCHAR",
        "hash": "VARCHAR",
    },
    "journal": {
        "seq": "BIGINT",
        "line": "SMALLINT",
        "booked_on": "DATE",
        "account_id": "VARCHAR",
        "version": "BIGINT",
        "debit": "VARCHAR",
        "credit": "VARCHAR",
        "commodity": "VARCHAR",
        "amount": _AMOUNT,
        "lot": "BIGINT",
    },
}

_COPIES: Final[Mapping[str, LiteralString]] = {"events": sql.COPY_EVENTS, "journal": sql.COPY_JOURNAL}

_DUCKDB: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "128MB",
    "threads": 2,
    # Nothing is fetched from anywhere: what is needed is built in.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


async def write_csv(connection: AsyncConnection[Any], extent: Extent, directory: Path) -> list[ExportedFile]:
    """Write `events.csv` and `journal.csv`."""
    return [await _copy(connection, extent, table, directory) for table in COLUMNS]


async def write_parquet(connection: AsyncConnection[Any], extent: Extent, directory: Path) -> list[ExportedFile]:
    """Write `events.parquet` and `journal.parquet`."""
    written: list[ExportedFile] = []
    for table, columns in COLUMNS.items():
        copied = await _copy(connection, extent, table, directory)
        source, target = directory / copied.name, directory / f"{table}.parquet"
        _convert(source, target, columns)
        source.unlink()
        written.append(summary_of(target, copied.rows))
    return written


async def _copy(connection: AsyncConnection[Any], extent: Extent, table: str, directory: Path) -> ExportedFile:
    names = {int(kind): kind.name for kind in Kind}
    parameters = {
        "seq": extent.seq,
        "build": extent.build,
        "kinds": [names.get(number, "") for number in range(1, max(names) + 1)],
    }
    with hashed_file(directory / f"{table}.csv") as file:
        cursor = connection.cursor()
        async with cursor.copy(_COPIES[table], parameters) as copy:
            async for block in copy:
                file.write(block)
        file.rows = cursor.rowcount
    return file.summary()


def _convert(source: Path, target: Path, columns: Mapping[str, str]) -> None:
    """Make Parquet of CSV in bounded memory, row group by row group."""
    partial = target.with_name(target.name + ".partial")
    with duckdb.connect(config={**_DUCKDB, "temp_directory": str(target.parent)}) as converter:
        table = converter.read_csv(
            str(source), header=True, columns=dict(columns), auto_detect=False, delimiter=",", quotechar='"',
            escapechar='"',
        )  # fmt: skip
        table.write_parquet(str(partial), compression="zstd", row_group_size=ROW_GROUP)
    partial.replace(target)
