"""Taking up a generation and giving it back. The attempt number is the fencing token of everything that follows."""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from ledger.database import Database
from ledger.rows import to_us
from workers.call_records import Call, encode_calls
from workers.generations import sql
from workers.requests import StoredRequest

LEASE_S: Final = 5.0
LEASE_MARGIN_S: Final = 0.5
"""We stop appending this long before the database lets anyone else begin."""


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
    request: StoredRequest
    lease_ends_s: float
    """By our monotonic clock, measured from before the database was asked."""


async def claim_generation(database: Database, generation_id: UUID, *, account_id: UUID, owner: UUID) -> Claim | None:
    """Claim a queued generation; `None` if it runs already, has ended, or is unknown."""
    asked_s = time.monotonic()
    parameters = {"id": generation_id, "account_id": account_id, "owner": owner, "lease": f"{LEASE_S} s"}
    async with database.connection() as connection:
        row = await (await connection.execute(sql.CLAIM_GENERATION, parameters)).fetchone()
    if row is None:
        return None
    return Claim(
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
        request=StoredRequest.decode(row[10]),
        lease_ends_s=asked_s + LEASE_S - LEASE_MARGIN_S,
    )


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
