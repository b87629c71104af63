"""Connections to Postgres, as the role that can add events and never change them."""

import contextlib
import select
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg import AsyncConnection, conninfo, rows
from psycopg_pool import AsyncConnectionPool

from ledger import arrays

APPLICATION_ROLE: Final = "holdfast_app"
"""May insert and read events. Cannot update, delete or truncate them, nor alter their table."""

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_MS: Final = 15_000
LOCK_TIMEOUT_MS: Final = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 60_000

ROWS_BY_KEY: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""For connections of which every statement looks up a few rows by primary key, whatever the planner believes of tables
that are new, bloated or not yet analysed: one plan, an index lookup per row, prepared once."""

WARM_UP_TIMES: Final = 8
"""A connection parses a statement the first time, and plans it anew for the parameters of the next five; after these,
Postgres keeps one plan. With tables that most statements find by a key, that one takes a fifth of the time."""


def application_conninfo(url: str, *, name: str = "holdfast", settings: Mapping[str, str] | None = None) -> str:
    """Complete a `DATABASE_URL`: the application's role, time-outs and UTC, whoever the URL logs in as."""
    all_settings = {
        "role": APPLICATION_ROLE,
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
        "timezone": "UTC",
        **(settings or {}),
    }
    given = str(conninfo.conninfo_to_dict(url).get("options") or "")
    options = " ".join([given, *(f"-c {key}={value}" for key, value in all_settings.items())]).strip()
    return conninfo.make_conninfo(
        url,
        options=options,
        application_name=name,
        connect_timeout=CONNECT_TIMEOUT_S,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )


async def connect(
    url: str, *, name: str = "holdfast", autocommit: bool = False, settings: Mapping[str, str] | None = None
) -> AsyncConnection[rows.TupleRow]:
    """Open one connection as the application's role, with server settings of its own.

    Raises:
        psycopg.OperationalError: the server cannot be reached, or does not let us in.
    """
    connection = await AsyncConnection.connect(
        application_conninfo(url, name=name, settings=settings), autocommit=autocommit
    )
    arrays.register(connection)
    connection.prepare_threshold = 1
    return connection


class Database:
    """A bounded pool of connections as the application's role.

    Each new connection is warmed up with the statements that callers wait for most, each with parameters for which it
    finds nothing and does nothing, before anybody gets it.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "holdfast",
        max_size: int = 8,
        statement_timeout_s: float | None = None,
        warm_up: Sequence[tuple[LiteralString, Mapping[str, object]]] = (),
    ) -> None:
        self.url = url
        self._warm_up = warm_up
        limited = {} if statement_timeout_s is None else {"statement_timeout": str(round(statement_timeout_s * 1_000))}
        self._pool = AsyncConnectionPool[AsyncConnection[rows.TupleRow]](
            application_conninfo(url, name=name, settings=limited),
            min_size=1,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            max_idle=60.0,
            open=False,
            configure=self._configure,
            check=_check,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection[rows.TupleRow], Any]:
        """Borrow a connection; what was done on it commits at the end, or rolls back on an error.

        Raises:
            psycopg_pool.PoolTimeout: none came free within `CONNECT_TIMEOUT_S`.
        """
        async with self._pool.connection() as connection:
            await connection.set_autocommit(False)
            yield connection

    @contextlib.asynccontextmanager
    async def autocommit(self) -> AsyncGenerator[AsyncConnection[rows.TupleRow], Any]:
        """Borrow a connection on which each statement is a transaction of its own, and costs one round trip.

        Raises:
            psycopg_pool.PoolTimeout: none came free within `CONNECT_TIMEOUT_S`.
        """
        async with self._pool.connection() as connection:
            # Only a flag on our side, and set by whoever borrows: nobody relies on how the one before left it.
            await connection.set_autocommit(True)
            yield connection

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        arrays.register(connection)
        connection.prepare_threshold = 1
        await connection.set_autocommit(True)
        for statement, parameters in self._warm_up:
            # What cannot run here now, say because a table is still to come, is for its caller to hear.
            with contextlib.suppress(psycopg.ProgrammingError):
                for _ in range(WARM_UP_TIMES):
                    await connection.execute(statement, parameters)
        await connection.set_autocommit(False)


async def _check(connection: AsyncConnection[Any]) -> None:
    """Ask the server whether it still knows this connection, if it has said something unasked: it says goodbye so.

    Raises:
        psycopg.Error: the connection is lost; the pool takes another.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)
