"""How far the read models are, and what halted them."""

from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from projections.projection import sql


class BuildStatus(msgspec.Struct, frozen=True):
    """One build of one projection."""

    name: str
    build: int
    is_active: bool
    seq: int
    sealed: int
    halted_seq: int | None
    halt_reason: str | None
    halted_at: datetime | None
    updated_at: datetime

    @property
    def behind(self) -> int:
        """How many sealed events are not in it yet."""
        return max(0, self.sealed - self.seq)

    @property
    def state(self) -> str:
        """In one word, how it is."""
        if self.halted_seq is not None:
            return "halted"
        if not self.is_active:
            return "building"
        return "behind" if self.behind else "current"


async def read_status(connection: AsyncConnection[Any]) -> list[BuildStatus]:
    """Read how far every build is, projection by projection, the build that is read first."""
    cursor = await connection.execute(sql.READ_BUILDS)
    return [BuildStatus(*row) async for row in cursor]
