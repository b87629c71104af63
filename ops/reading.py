"""The database alone, for commands that read or rebuild and never move credits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from ledger.database import Database
from ops.endpoints import reached_database
from ops.instance import DataDirectory

CONNECTIONS: Final = 3


@contextlib.asynccontextmanager
async def opened_database(data_dir: Path) -> AsyncGenerator[Database]:
    """Open the database that the environment or the data directory leads to; see `reached_database`."""
    async with (
        reached_database(DataDirectory(data_dir)) as endpoints,
        Database(endpoints.database_url, name="holdfast cli", max_size=CONNECTIONS) as database,
    ):
        yield database
