"""Credits in and out of an account in one step: top-ups, grants, adjustments, charges."""

from uuid import UUID

from litestar import post
from litestar.params import FromPath, JSONBody

from api.answers import Answer
from api.event_views import EventView, event_view
from api.movement_requests import AdjustRequest, ChargeRequest, GrantRequest, TopUpRequest
from api.principal import ADMINS, MOVERS
from api.requests import ApiRequest
from ledger.batch import Outcome


@post("/v1/accounts/{account_id:uuid}/top-ups", opt={"roles": MOVERS, "moves_credits": True})
async def top_up(account_id: FromPath[UUID], data: JSONBody[TopUpRequest], request: ApiRequest) -> Answer[EventView]:
    """Bring in credits that were bought, as a new lot."""
    command = data.command(account_id, request.command_key, request.principal)
    return event_answer(await request.services.writer.submit(command))


@post("/v1/accounts/{account_id:uuid}/grants", opt={"roles": MOVERS, "moves_credits": True})
async def grant(account_id: FromPath[UUID], data: JSONBody[GrantRequest], request: ApiRequest) -> Answer[EventView]:
    """Bring in credits that are given, as a new lot."""
    command = data.command(account_id, request.command_key, request.principal)
    return event_answer(await request.services.writer.submit(command))


@post("/v1/accounts/{account_id:uuid}/adjustments", opt={"roles": ADMINS, "moves_credits": True, "problems": (402,)})
async def adjust(account_id: FromPath[UUID], data: JSONBody[AdjustRequest], request: ApiRequest) -> Answer[EventView]:
    """Correct a balance by a signed amount; only `allow_negative` lets it end below zero."""
    command = data.command(account_id, request.command_key, request.principal)
    return event_answer(await request.services.writer.submit(command))


@post("/v1/accounts/{account_id:uuid}/charges", opt={"roles": MOVERS, "moves_credits": True, "problems": (402,)})
async def charge(account_id: FromPath[UUID], data: JSONBody[ChargeRequest], request: ApiRequest) -> Answer[EventView]:
    """Debit credits in one step."""
    command = data.command(account_id, request.command_key, request.principal)
    return event_answer(await request.services.writer.submit(command))


def event_answer(outcome: Outcome) -> Answer[EventView]:
    """Answer a command with its event: 201, and the same again when the command is repeated.

    `seq` stays null here even where a repeated command's event is sealed by now, because the bytes must not change.
    """
    return Answer(event_view(outcome.event), status=201, replayed=outcome.replayed)
