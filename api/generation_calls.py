"""What was asked of providers for a generation, for those who answer for what it costs."""

from datetime import datetime
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from msgspec import Struct

from api.answers import Answer
from api.cursors import Page
from api.fields import credits_of, us_moment
from api.principal import AUDITORS
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.call_records import Call, read_calls
from workers.generations import get_generation, usage_numbers


class CallAnswer(Struct, frozen=True, kw_only=True):
    """One call to a provider, whoever paid for it."""

    attempt: int
    call: int
    model: str
    provider: str
    outcome: str
    """`completed`, `stopped`, `worker_lost`, or the code of the error."""
    started_at: datetime | None
    ended_at: datetime
    usage: dict[str, int] | None
    cost: str | None
    """In US dollars, as far as anyone knows."""
    status_code: int | None
    provider_message: str | None
    upstream_request_id: str | None


@get("/v1/generations/{generation_id:uuid}/calls", opt={"roles": AUDITORS})
async def list_calls(generation_id: FromPath[UUID], request: ApiRequest) -> Answer[Page[CallAnswer]]:
    """List the calls to providers that a generation took, failed ones included; always in one page."""
    found = await get_generation(request.services.database, generation_id)
    calls = await read_calls(request.services.database, found.id)
    return Answer(Page([call_answer(call) for call in calls], None))


def call_answer(call: Call) -> CallAnswer:
    """Show a call."""
    return CallAnswer(
        attempt=call.attempt,
        call=call.call,
        model=call.model,
        provider=call.provider,
        outcome=call.outcome,
        started_at=us_moment(call.started_at_us),
        ended_at=from_us(call.ended_at_us),
        usage=None if call.usage is None else usage_numbers(call.usage),
        cost=None if call.cost_microdollars is None else credits_of(call.cost_microdollars),
        status_code=call.status_code,
        provider_message=call.provider_message,
        upstream_request_id=call.upstream_request_id,
    )
