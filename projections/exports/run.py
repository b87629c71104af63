"""One export from beginning to end."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection

from projections.exports.extent import Extent, one_moment
from projections.exports.files import ExportedFile, Manifest, hashed_file, prepare, write_manifest
from projections.exports.plain_text import write_beancount, write_hledger
from projections.exports.tables import write_csv, write_parquet
from projections.trial_balance import read_trial_balance, trial_balance_csv

Write = Callable[[AsyncConnection[Any], Extent, Path], Awaitable[list[ExportedFile]]]

FORMATS: Final[Mapping[str, Write]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "hledger": write_hledger,
    "beancount": write_beancount,
}


async def export(url: str, *, format_name: str, directory: Path) -> Manifest:
    """Write what the journal holds in one format, with the trial balance and a manifest; return the manifest.

    Everything is of one moment. A directory without a manifest holds an export that was interrupted.

    Raises:
        ExportExists: the directory holds an export already.
        NothingToExport: the journal holds nothing yet.
    """
    prepare(directory)
    async with one_moment(url) as (connection, extent):
        files = await FORMATS[format_name](connection, extent, directory)
        balances = await read_trial_balance(connection, build=extent.build, seq=extent.seq)
    with hashed_file(directory / "trial_balance.csv") as file:
        file.write(trial_balance_csv(balances))
        file.rows = len(balances)
    summary = file.summary()
    manifest = Manifest(
        format=format_name,
        seq=extent.seq,
        root=None if extent.root is None else extent.root.hex(),
        sealed_at=extent.sealed_at.isoformat(),
        trial_balance_sha256=summary.sha256,
        files=(*files, summary),
    )
    write_manifest(directory, manifest)
    return manifest
