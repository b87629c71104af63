"""What each call to a provider used and what it cost us, whoever pays for it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.generations import sql, usage_of
from workers.providers import Usage

MAX_MESSAGE_CHARACTERS: Final = 2_000


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider, as it is recorded. `cost_microdollars` is what it cost us, as far as anyone knows."""

    attempt: int
    call: int
    model: str
    """The route that made it: a model of the catalogue."""
    provider: str
    outcome: str
    started_at_us: int | None
    ended_at_us: int
    usage: Usage | None
    cost_microdollars: int | None
    status_code: int | None = None
    provider_message: str | None = None
    """The provider's own words where it failed, for administrators."""
    upstream_request_id: str | None = None


async def read_calls(database: Database, generation_id: UUID) -> tuple[Call, ...]:
    """Return the calls that were made for a generation, in their order; none if there is no such generation."""
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.READ_CALLS, {"generation_id": generation_id})).fetchall()
    return tuple(
        Call(
            attempt=attempt,
            call=call,
            model=model or "",
            provider=provider,
            outcome=outcome,
            started_at_us=None if started_at is None else to_us(started_at),
            ended_at_us=to_us(ended_at),
            cost_microdollars=cost,
            status_code=status_code,
            provider_message=provider_message,
            upstream_request_id=upstream_request_id,
            usage=usage_of(counts),
        )
        for (
            attempt, call, model, provider, outcome, started_at, ended_at, cost, status_code, provider_message,
            upstream_request_id, *counts,
        ) in rows
    )  # fmt: skip


async def record_calls(database: Database, calls: Sequence[Call], *, generation_id: UUID, account_id: UUID) -> None:
    """Write down calls before their attempt is over. Those that are known already stay as they are."""
    parameters = {"generation_id": generation_id, "account_id": account_id, "calls": encode_calls(calls)}
    async with database.connection() as connection:
        await connection.execute(sql.INSERT_CALLS, parameters)


def encode_calls(calls: Sequence[Call]) -> str:
    """Return the calls as the JSON that `jsonb_to_recordset` reads."""
    return msgspec.json.encode([_record(call) for call in calls]).decode()


def usage_columns(usage: Usage | None) -> dict[str, int | None]:
    """Return usage as the columns of the same names; all null where nobody knows."""
    if usage is None:
        return dict.fromkeys(Usage.__struct_fields__)
    return msgspec.structs.asdict(usage)


def storable(text: str) -> str:
    """Return a message as Postgres can keep it: no NUL, no half of a surrogate pair, not endless."""
    return text[:MAX_MESSAGE_CHARACTERS].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _record(call: Call) -> dict[str, object]:
    return {
        "attempt": call.attempt,
        "call": call.call,
        "model": call.model,
        "provider": call.provider,
        "outcome": call.outcome,
        "started_at": None if call.started_at_us is None else from_us(call.started_at_us),
        "ended_at": from_us(call.ended_at_us),
        "cost_microdollars": call.cost_microdollars,
        "status_code": call.status_code,
        "provider_message": None if call.provider_message is None else storable(call.provider_message),
        "upstream_request_id": None if call.upstream_request_id is None else storable(call.upstream_request_id),
        **usage_columns(call.usage),
    }
