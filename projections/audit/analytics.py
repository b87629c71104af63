"""Analytics, made anew in temporary tables by their own statements, and compared.

A temporary table hides the one it is named after. So the projection writes there without knowing, and what is kept is
never touched. They are sums, so they are compared all at once.
"""

from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from ledger import statements
from ledger.audit.findings import MOST_FINDINGS, Finding
from projections import analytics
from projections.projection import UnknownKind, read_batch
from projections.status import BuildStatus

sql: Final = statements.load("projections.audit")

BATCH_EVENTS: Final = 50_000

SETTINGS: Final = {"default_transaction_read_only": "off", "temp_buffers": "32MB"}
"""For the connection of this check: temporary tables are written."""


async def check_analytics(connection: AsyncConnection[Any], build: BuildStatus) -> list[Finding]:
    """Compare all figures."""
    await connection.execute(sql.SHADOW_ANALYTICS, prepare=False)
    failure = await _make(connection, build)
    if failure is not None:
        return [Finding(check="analytics", problem=failure)]
    parameters = {"build": build.build, "limit": MOST_FINDINGS}
    cursor = await connection.execute(sql.FIND_WRONG_FIGURES, parameters)
    return [
        Finding(check="analytics", problem=f"{table} of {day}: a row is not what the log makes", account_id=account_id)
        async for table, account_id, day in cursor
    ]


async def _make(connection: AsyncConnection[Any], build: BuildStatus) -> str | None:
    """Make the figures anew, as far as the build is; return why not where that is not possible."""
    for first in range(0, build.seq, BATCH_EVENTS):
        upto_seq = min(build.seq, first + BATCH_EVENTS)
        batch = await read_batch(connection, build=build.build, after_seq=first, upto_seq=upto_seq)
        try:
            await analytics.apply(connection, batch)
        except (psycopg.DataError, UnknownKind, analytics.GenerationMissing) as error:
            reason = " ".join(str(error).split())
            return f"the events from seq {batch.after_seq + 1} to {batch.upto_seq} cannot be taken: {reason}"
    return None
