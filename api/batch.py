"""Many ledger commands in one request, each accepted or refused by itself, in order."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api.answers import Answer
from api.errors import Forbidden, IdempotencyKeyRequired
from api.event_views import event_view
from api.freezes import (
    ConfirmRequest,
    FreezeRequest,
    RollbackRequest,
    confirmed_view,
    opened_view,
    rolled_back_view,
)
from api.movement_requests import AdjustRequest, ChargeRequest, GrantRequest, TopUpRequest
from api.principal import ADMINS, MOVERS, Principal
from api.problems import problem_of
from api.requests import ApiRequest, checked_key
from api.services import Services
from ledger.batch import Outcome
from ledger.errors import FreezeNotFound
from ledger.reads import FreezeView

MAX_COMMANDS: Final = 1_000
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

ItemKey = Annotated[str, Meta(min_length=1, max_length=200, description="Default: the request's key, # and the index.")]


class BatchTopUp(TopUpRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="top_up"):
    """See `POST /v1/accounts/{account_id}/top-ups`."""

    account_id: UUID
    idempotency_key: ItemKey | None = None


class BatchGrant(GrantRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="grant"):
    """See `POST /v1/accounts/{account_id}/grants`."""

    account_id: UUID
    idempotency_key: ItemKey | None = None


class BatchAdjust(AdjustRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="adjust"):
    """See `POST /v1/accounts/{account_id}/adjustments`; for administrators only, here as there."""

    account_id: UUID
    idempotency_key: ItemKey | None = None


class BatchCharge(ChargeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="charge"):
    """See `POST /v1/accounts/{account_id}/charges`."""

    account_id: UUID
    idempotency_key: ItemKey | None = None


class BatchFreeze(FreezeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="freeze"):
    """See `POST /v1/accounts/{account_id}/freezes`."""

    account_id: UUID
    idempotency_key: ItemKey | None = None


class BatchConfirm(
    ConfirmRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="confirm"
):
    """See `POST /v1/freezes/{freeze_id}/confirm`."""

    freeze_id: UUID
    idempotency_key: ItemKey | None = None


class BatchRollback(
    RollbackRequest, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="rollback"
):
    """See `POST /v1/freezes/{freeze_id}/rollback`."""

    freeze_id: UUID
    idempotency_key: ItemKey | None = None


BatchCommand = BatchTopUp | BatchGrant | BatchAdjust | BatchCharge | BatchFreeze | BatchConfirm | BatchRollback


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Commands, to be taken in this order."""

    commands: Annotated[list[BatchCommand], Meta(min_length=1, max_length=MAX_COMMANDS)]


class BatchAnswer(Struct, frozen=True):
    """One outcome per command, in their order.

    Each has `status` and either `replayed` and the body that the single call would have had, or the members of its
    problem document.
    """

    outcomes: list[dict[str, object]]


@post(
    "/v1/ledger/batch",
    status_code=200,
    opt={"roles": MOVERS, "moves_credits": True, "own_keys": True},
    request_max_body_size=MAX_BODY_BYTES,
)
async def run_batch(data: JSONBody[BatchRequest], request: ApiRequest) -> Answer[BatchAnswer]:
    """Run up to 1,000 ledger commands; each is accepted or refused by itself."""
    return await run_commands(data.commands, request)


async def run_commands(commands: list[BatchCommand], request: ApiRequest) -> Answer[BatchAnswer]:
    """Run commands and collect what each came to.

    Raises:
        IdempotencyKeyRequired: a command has no key of its own and the request has none to derive one from.
        InvalidIdempotencyKey: a key cannot be one; then nothing was run.
    """
    keys = _keys(commands, request.idempotency_key)
    services, principal = request.services, request.principal
    freezes = await _find_freezes(commands, services)
    # The writer queues each command as soon as its task starts, and tasks start in this order.
    results = await asyncio.gather(
        *(_run(command, key, freezes, services, principal) for command, key in zip(commands, keys, strict=True)),
        return_exceptions=True,
    )
    outcomes = [_shown(result, request.request_id) for result in results]
    return Answer(BatchAnswer(outcomes), replayed=all(outcome.get("replayed") for outcome in outcomes))


def _keys(commands: list[BatchCommand], request_key: str | None) -> list[str]:
    keys: list[str] = []
    for index, command in enumerate(commands):
        if command.idempotency_key is None and request_key is None:
            raise IdempotencyKeyRequired
        keys.append(checked_key(command.idempotency_key or f"{request_key}#{index}"))
    return keys


async def _find_freezes(commands: list[BatchCommand], services: Services) -> Mapping[UUID, FreezeView]:
    wanted = {command.freeze_id for command in commands if isinstance(command, BatchConfirm | BatchRollback)}
    found = await asyncio.gather(*(services.freezes.find(freeze_id) for freeze_id in wanted))
    return {freeze.id: freeze for freeze in found if freeze is not None}


async def _run(
    command: BatchCommand, key: str, freezes: Mapping[UUID, FreezeView], services: Services, principal: Principal
) -> dict[str, object]:
    """Run one command, up to the writer's queue without giving way to another task."""
    match command:
        case BatchConfirm():
            freeze = _known(freezes, command.freeze_id)
            outcome = await services.writer.submit(command.command(freeze, key, principal))
            return _accepted(200, outcome, confirmed_view(freeze, outcome))
        case BatchRollback():
            freeze = _known(freezes, command.freeze_id)
            outcome = await services.writer.submit(command.command(freeze, key, principal))
            return _accepted(200, outcome, rolled_back_view(freeze, outcome))
        case BatchFreeze():
            outcome = await services.writer.submit(command.command(command.account_id, key, principal))
            return _accepted(201, outcome, opened_view(outcome))
        case BatchTopUp() | BatchGrant() | BatchAdjust() | BatchCharge():
            if isinstance(command, BatchAdjust) and principal.role not in ADMINS:
                raise Forbidden(principal.role)
            outcome = await services.writer.submit(command.command(command.account_id, key, principal))
            return _accepted(201, outcome, event_view(outcome.event))


def _known(freezes: Mapping[UUID, FreezeView], freeze_id: UUID) -> FreezeView:
    if freeze_id not in freezes:
        raise FreezeNotFound(freeze_id)
    return freezes[freeze_id]


def _accepted(status: int, outcome: Outcome, view: Struct) -> dict[str, object]:
    return {"status": status, "replayed": outcome.replayed, **msgspec.structs.asdict(view)}


def _shown(result: dict[str, object] | BaseException, request_id: str) -> dict[str, object]:
    if isinstance(result, Exception):
        return problem_of(result).document(request_id)
    if isinstance(result, BaseException):
        raise result
    return result
