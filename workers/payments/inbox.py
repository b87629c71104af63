"""Verified webhooks, kept as they came until what they say is done.

The gateway is told 200 once its webhook is committed here, and whatever happens then, it is not needed again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from uuid import UUID

from msgspec import Struct

from ledger.database import Database
from workers.payments.gateway import WebhookEvent
from workers.payments.orders import sql

LEASE_S: Final = 20.0
"""How long a webhook is left to whoever has taken it."""

NOT_KEPT: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


class Kept(Struct, frozen=True, kw_only=True):
    """A webhook that is to be processed."""

    id: int
    gateway: str
    kind: str
    object_id: str
    request_id: str
    headers: Mapping[str, str]
    body: bytes
    tries: int
    """This one included."""

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `claim_inbox.sql`."""
        return cls(
            id=row[0],
            gateway=row[1],
            kind=row[2],
            object_id=row[3],
            request_id=row[4],
            headers=row[5],
            body=bytes(row[6]),
            tries=row[7],
        )


async def keep(
    database: Database,
    gateway: str,
    event: WebhookEvent,
    *,
    headers: Mapping[str, str],
    body: bytes,
    request_id: str | UUID,
) -> bool:
    """Commit a verified webhook; false if it is here already."""
    parameters: dict[str, object] = {
        "gateway": gateway,
        "event_id": event.event_id,
        "kind": event.kind,
        "object_id": event.object_id,
        "request_id": str(request_id),
        "headers": json.dumps({name: value for name, value in headers.items() if name not in NOT_KEPT}),
        "body": body,
    }
    async with database.autocommit() as connection:
        return await (await connection.execute(sql.INSERT_INBOX, parameters)).fetchone() is not None


async def claim_due(database: Database, *, limit: int) -> list[Kept]:
    """Take what is due; it comes again after `LEASE_S` unless it is finished or postponed."""
    parameters = {"lease": f"{LEASE_S} s", "limit": limit}
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.CLAIM_INBOX, parameters)).fetchall()
    return [Kept.of_row(row) for row in rows]


async def finish(database: Database, ids: Sequence[int]) -> None:
    """Note that these are processed."""
    async with database.autocommit() as connection:
        await connection.execute(sql.FINISH_INBOX, {"ids": list(ids)})


async def postpone(database: Database, webhook_id: int, *, pause_s: float, error: str, is_dead: bool) -> None:
    """Note why one was not processed; it comes again after the pause, unless it is given up."""
    parameters = {"id": webhook_id, "pause": f"{pause_s} s", "error": error, "is_dead": is_dead}
    async with database.autocommit() as connection:
        await connection.execute(sql.POSTPONE_INBOX, parameters)


async def has_due(database: Database) -> bool:
    """Whether anything waits to be processed."""
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.COUNT_DUE)).fetchone()
    return row is not None and row[0] > 0
