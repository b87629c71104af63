"""Taking up a generation and giving it back. The attempt number is the fencing token of everything that follows."""

import time
from collections.abc import Sequence
from typing import Any, Final, Self
from uuid import UUID

from msgspec import Struct
from psycopg import AsyncConnection

from ledger.batch import Statement
from ledger.database import Database
from ledger.rows import to_us
from workers.call_records import Call, encode_calls
from workers.generations import sql
from workers.limits import Holder
from workers.requests import StoredRequest
from workers.tiers import Tier

LEASE_S: Final = 5.0
LEASE_MARGIN_S: Final = 0.5
"""We stop appending this long before the database lets anyone else begin."""

NO_TIER: Final = -1

WARM_UP: Final[tuple[Statement, ...]] = (
    (
        sql.CLAIM_NEXT_GENERATION,
        {"owner": UUID(int=0), "lease": f"{LEASE_S} s", "tiers": [NO_TIER], "full_providers": []},
    ),
)
"""What a worker's connections are warmed up with."""


class Claim(Struct, frozen=True, kw_only=True):
    """A generation that is ours for as long as its lease is extended."""

    generation_id: UUID
    account_id: UUID
    attempt: int
    model: str
    price_version: int
    max_output_tokens: int
    frozen_microcredits: int
    request_id: str
    deadline_at_us: int
    cancel_requested: bool
    provider: str
    """Of the model that was asked for; a fallback may be another's."""
    tier: Tier
    request: StoredRequest
    lease_ends_s: float
    """By our monotonic clock, measured from before the database was asked."""
    created_at_us: int
    input_length: int | None
    """Characters of the conversation; `None` where it was admitted before anyone counted them."""
    took_us: int
    """How long the database took to answer."""

    @classmethod
    def of_row(cls, row: Sequence[Any], *, asked_s: float) -> Self:
        """Read a row of `claim_generation.sql` or `claim_next_generation.sql`."""
        return cls(
            generation_id=row[0],
            account_id=row[1],
            attempt=row[2],
            model=row[3],
            price_version=row[4],
            max_output_tokens=row[5],
            frozen_microcredits=row[6],
            request_id=row[7],
            deadline_at_us=to_us(row[8]),
            cancel_requested=row[9] is not None,
            provider=row[10],
            tier=Tier(row[11]),
            request=StoredRequest.decode(row[12]),
            created_at_us=to_us(row[13]),
            input_length=row[14],
            lease_ends_s=asked_s + LEASE_S - LEASE_MARGIN_S,
            took_us=round((time.monotonic() - asked_s) * 1e6),
        )

    @property
    def holder(self) -> Holder:
        """Who holds this attempt's place at its provider."""
        return Holder(self.provider, f"{self.generation_id}:{self.attempt}")


async def claim_next(
    connection: AsyncConnection[Any], *, owner: UUID, tiers: Sequence[Tier], full_providers: Sequence[str]
) -> Claim | None:
    """Claim what is next in the first of these tiers that has something ready; `None` if nothing is.

    It is ours once the caller's transaction commits.
    """
    asked_s = time.monotonic()
    parameters = {
        "owner": owner,
        "lease": f"{LEASE_S} s",
        "tiers": list(tiers),
        "full_providers": list(full_providers),
    }
    row = await (await connection.execute(sql.CLAIM_NEXT_GENERATION, parameters)).fetchone()
    return None if row is None else Claim.of_row(row, asked_s=asked_s)


async def claim_generation(database: Database, generation_id: UUID, *, account_id: UUID, owner: UUID) -> Claim | None:
    """Claim one queued generation out of turn; `None` if it runs already, has ended, or is unknown."""
    asked_s = time.monotonic()
    parameters = {"id": generation_id, "account_id": account_id, "owner": owner, "lease": f"{LEASE_S} s"}
    async with database.connection() as connection:
        row = await (await connection.execute(sql.CLAIM_GENERATION, parameters)).fetchone()
    return None if row is None else Claim.of_row(row, asked_s=asked_s)


async def release_generation(database: Database, claim: Claim, calls: Sequence[Call]) -> bool:
    """Give back a claim, so that another worker takes it up at once; false if it was ours no more."""
    parameters = {
        "id": claim.generation_id,
        "account_id": claim.account_id,
        "attempt": claim.attempt,
        "calls": encode_calls(calls),
    }
    async with database.connection() as connection:
        return await (await connection.execute(sql.RELEASE_GENERATION, parameters)).fetchone() is not None
