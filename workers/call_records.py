"""What each call to a provider used and what it cost us, whoever pays for it."""

from collections.abc import Sequence

import msgspec

from ledger.rows import from_us
from workers.providers import Usage


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider, as it is recorded. `cost_microdollars` is what it cost us, as far as anyone knows."""

    attempt: int
    call: int
    provider: str
    outcome: str
    started_at_us: int | None
    ended_at_us: int
    usage: Usage | None
    cost_microdollars: int | None


def encode_calls(calls: Sequence[Call]) -> str:
    """Return the calls as the JSON that `jsonb_to_recordset` reads."""
    return msgspec.json.encode([_record(call) for call in calls]).decode()


def usage_columns(usage: Usage | None) -> dict[str, int | None]:
    """Return usage as the columns of the same names; all null where nobody knows."""
    if usage is None:
        return dict.fromkeys(Usage.__struct_fields__)
    return msgspec.structs.asdict(usage)


def _record(call: Call) -> dict[str, object]:
    return {
        "attempt": call.attempt,
        "call": call.call,
        "provider": call.provider,
        "outcome": call.outcome,
        "started_at": None if call.started_at_us is None else from_us(call.started_at_us),
        "ended_at": from_us(call.ended_at_us),
        "cost_microdollars": call.cost_microdollars,
        **usage_columns(call.usage),
    }
