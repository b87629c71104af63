"""What each call to a provider used and what it cost us, whoever pays for it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.rows import from_us
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
