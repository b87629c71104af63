"""Read models whose work the server does, made anew in temporary tables by their own statements, and compared.

A temporary table hides the one it is named after. So a projection writes there without knowing, and what is kept is
never touched. Statements are compared a range of events at a time; analytics are sums, so all at once.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from ledger import statements
from ledger.audit.findings import MOST_FINDINGS, Finding
from projections import analytics
from projections import statements as statement_lines
from projections.projection import Apply, UnknownKind, read_batch
from projections.status import BuildStatus

sql: Final = statements.load("projections.audit")

RANGE_EVENTS: Final = 250_000
BATCH_EVENTS: Final = 50_000

SETTINGS: Final = {"default_transaction_read_only": "off", "work_mem": "64MB", "temp_buffers": "32MB"}
"""For the connections of these checks: temporary tables are written, and what is sorted is a whole range."""


def ranges(build: BuildStatus) -> list[tuple[int, int]]:
    """Cut what a build has taken into ranges: after the one seq, up to and with the other."""
    return [(after, min(build.seq, after + RANGE_EVENTS)) for after in range(0, build.seq, RANGE_EVENTS)]


async def check_statements(
    connection: AsyncConnection[Any], build: BuildStatus, after: int, upto: int
) -> list[Finding]:
    """Compare the lines of a range of events. The last range also looks for lines of no event."""
    await connection.execute(sql.SHADOW_STATEMENTS, prepare=False)
    failure = await _make(connection, statement_lines.apply, build, after, upto)
    if failure is not None:
        return [Finding(check="statements", problem=failure, seq=after + 1)]
    parameters = {
        "build": build.build, "after_seq": after, "upto_seq": upto, "seq": build.seq, "limit": MOST_FINDINGS
    }  # fmt: skip
    problem = "the line of the statement is not what the event makes"
    findings = [
        Finding(check="statements", problem=problem, seq=seq, account_id=account_id, version=version)
        async for seq, account_id, version in await connection.execute(sql.FIND_WRONG_STATEMENT_LINES, parameters)
    ]
    if upto == build.seq:
        findings += [finding async for finding in _stray_lines(connection, parameters)]
    return findings


async def check_analytics(connection: AsyncConnection[Any], build: BuildStatus) -> list[Finding]:
    """Compare all figures."""
    await connection.execute(sql.SHADOW_ANALYTICS, prepare=False)
    failure = await _make(connection, analytics.apply, build, 0, build.seq)
    if failure is not None:
        return [Finding(check="analytics", problem=failure)]
    parameters = {"build": build.build, "limit": MOST_FINDINGS}
    cursor = await connection.execute(sql.FIND_WRONG_FIGURES, parameters)
    return [
        Finding(check="analytics", problem=f"{table} of {day}: a row is not what the log makes", account_id=account_id)
        async for table, account_id, day in cursor
    ]


async def _make(
    connection: AsyncConnection[Any], apply: Apply, build: BuildStatus, after: int, upto: int
) -> str | None:
    """Make a part of a read model anew; return why not where that is not possible."""
    for first in range(after, upto, BATCH_EVENTS):
        batch = await read_batch(
            connection, build=build.build, after_seq=first, upto_seq=min(upto, first + BATCH_EVENTS)
        )
        try:
            await apply(connection, batch)
        except (psycopg.DataError, UnknownKind, analytics.GenerationMissing) as error:
            reason = " ".join(str(error).split())
            return f"the events from seq {batch.after_seq + 1} to {batch.upto_seq} cannot be taken: {reason}"
    return None


async def _stray_lines(connection: AsyncConnection[Any], parameters: dict[str, int]) -> AsyncIterator[Finding]:
    row = await (await connection.execute(sql.COUNT_STATEMENT_LINES, parameters)).fetchone()
    assert row is not None, "count(*) has a row"
    if row[0] == parameters["seq"]:
        return
    async for account_id, version in await connection.execute(sql.FIND_STRAY_STATEMENT_LINES, parameters):
        yield Finding(
            check="statements", problem="a line of the statement is of no event", account_id=account_id, version=version
        )
