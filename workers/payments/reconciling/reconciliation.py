"""Comparing a gateway's list with our books from one time up to another, in bounded memory.

The list goes into tables of one session, and is read back in pages, each held against our rows and the ledger's own
events. Nothing is written but by `post`, which takes what a webhook would have brought.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeAlias

import msgspec
from psycopg import AsyncConnection

from ledger.database import connect
from ledger.rows import from_us, to_us
from workers.payments.gateway import Gateway
from workers.payments.reconciling.evidence import (
    Theirs,
    first_key,
    missing_there_line,
    payment_lines,
    refund_lines,
)
from workers.payments.reconciling.lines import Kind, Line
from workers.payments.reconciling.listing import Listed, decode_fact, sql, take_in

PAGE: Final = 1_000
MARGIN: Final = timedelta(days=1)
"""The gateway is asked for more than the window, because the two sides may date the same payment differently."""

LOOK_BACK: Final = timedelta(days=30)
"""How much further back the gateway is asked for what seems to be missing there: it may list a payment under the time
at which it was begun, and transfers take days to arrive."""

STATEMENT_TIMEOUT_S: Final = 300

Post: TypeAlias = Callable[[Sequence[Listed]], Awaitable[Sequence[str]]]
"""Takes what is missing here, and returns for each why it could not be posted, or nothing."""


class Window(msgspec.Struct, frozen=True):
    """From one time up to, and without, another."""

    since: datetime
    until: datetime


class Reconciliation:
    """One comparison. Takes a connection of its own, which its tables go with."""

    def __init__(self, connection: AsyncConnection[Any], gateway: str, window: Window) -> None:
        self._connection = connection
        self._gateway = gateway
        self._window = window
        self._in_window = {"since": window.since, "until": window.until}

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, database_url: str, gateway: str, window: Window) -> AsyncGenerator[Self]:
        """Connect and make the tables."""
        connection = await connect(
            database_url,
            name="holdfast reconcile",
            autocommit=True,
            settings={"statement_timeout": f"{STATEMENT_TIMEOUT_S}s"},
        )
        async with connection:
            await connection.execute(sql.CREATE_TABLES)
            yield cls(connection, gateway, window)

    async def load(self, gateway: Gateway, *, progress: Callable[[int], None]) -> int:
        """Ask the gateway for its list, and return how much of it is in the window. `progress` counts what comes.

        Raises:
            GatewayError: it did not give the whole list.
        """
        since, until = self._window.since - MARGIN, self._window.until + MARGIN
        await take_in(self._connection, _listed(gateway, since, until), progress=progress)
        if await self._find_missing_there():
            await take_in(self._connection, _listed(gateway, since - LOOK_BACK, since), progress=progress)
            await self._connection.execute(sql.DROP_FOUND)
        cursor = await self._connection.execute(sql.COUNT_THEIRS, self._in_window)
        row = await cursor.fetchone()
        assert row is not None, "a count is a row"
        return row[0]

    async def lines(self, *, post: Post | None = None) -> AsyncGenerator[Line]:
        """Compare everything, payments before refunds; with `post`, take in what is missing here and compare again."""
        for is_refund in (False, True):
            async for page in self._pages(is_refund=is_refund):
                lines = await self._compared(page, is_refund=is_refund)
                if post is not None:
                    lines = await self._posted(page, lines, post, is_refund=is_refund)
                for line in lines:
                    yield line
        async for line in self._missing_there():
            yield line

    async def _pages(self, *, is_refund: bool) -> AsyncIterator[list[Theirs]]:
        after, after_id = self._window.since, ""
        while True:
            parameters = {
                **self._in_window, "is_refund": is_refund, "after": after, "after_id": after_id, "limit": PAGE,
            }  # fmt: skip
            rows = await (await self._connection.execute(sql.READ_THEIRS, parameters)).fetchall()
            if not rows:
                return
            page = [Theirs(*row) for row in rows]
            yield page
            after, after_id = page[-1].at, page[-1].id

    async def _compared(self, page: Sequence[Theirs], *, is_refund: bool) -> list[Line]:
        compare = refund_lines if is_refund else payment_lines
        return await compare(self._connection, self._gateway, page)

    async def _posted(self, page: list[Theirs], lines: list[Line], post: Post, *, is_refund: bool) -> list[Line]:
        missing = [number for number, line in enumerate(lines) if line.found.kind is Kind.missing_here]
        if not missing:
            return lines
        chosen = [page[number] for number in missing]
        problems = await post([decode_fact(theirs.fact, is_refund=is_refund) for theirs in chosen])
        compared = await self._compared(chosen, is_refund=is_refund)
        changed = list(lines)
        for number, problem, again in zip(missing, problems, compared, strict=True):
            changed[number] = msgspec.structs.replace(
                again, found=lines[number].found, after=again.found, problem=problem
            )
        return changed

    async def _find_missing_there(self) -> int:
        begins_with = first_key(self._gateway)
        parameters = {
            **self._in_window,
            "gateway": self._gateway,
            "first_key": begins_with,
            # The character after the colon: the keys of this gateway, and of none whose name begins with this one's.
            "last_key": begins_with[:-1] + chr(ord(":") + 1),
        }
        found = 0
        for statement in (
            sql.FIND_PAYMENTS_MISSING_THERE, sql.FIND_TOP_UPS_MISSING_THERE, sql.FIND_REFUNDS_MISSING_THERE,
        ):  # fmt: skip
            found += (await self._connection.execute(statement, parameters)).rowcount
        return found

    async def _missing_there(self) -> AsyncIterator[Line]:
        number = 0
        while True:
            parameters = {"number": number, "limit": PAGE}
            rows = await (await self._connection.execute(sql.READ_MISSING_THERE, parameters)).fetchall()
            if not rows:
                return
            for row in rows:
                yield missing_there_line(row)
            number = rows[-1][0]


async def _listed(gateway: Gateway, since: datetime, until: datetime) -> AsyncGenerator[Listed]:
    """Ask for a list, and close it also where it is not read to its end."""
    first = max(since, from_us(0))
    async with contextlib.aclosing(gateway.listed(since_us=to_us(first), until_us=to_us(until))) as facts:
        async for fact in facts:
            yield fact
