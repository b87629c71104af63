"""Freezes: credits set aside for one piece of work, and what became of them."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.answers import Answer
from api.fields import NO_NUL, Credits, CreditsOrNone, Reference, credits_of, parse_credits_or_zero
from api.principal import MOVERS, READERS, Principal
from api.requests import ApiRequest
from ledger.account import FreezeState
from ledger.amounts import parse_credits
from ledger.batch import Outcome
from ledger.commands import DEFAULT_FREEZE_TTL_US, Confirm, Freeze, Rollback
from ledger.events import CreditsFrozen
from ledger.reads import FreezeView
from ledger.rows import from_us

MAX_TTL_S: Final = 365 * 24 * 3600
_SECOND_US: Final = 1_000_000


class FreezeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits to set aside."""

    amount: Credits
    ttl_s: Annotated[int, Meta(ge=1, le=MAX_TTL_S)] = DEFAULT_FREEZE_TTL_US // _SECOND_US
    reference: Reference = ""

    def command(self, account_id: UUID, command_key: str, principal: Principal) -> Freeze:
        """Return the ledger's command for it."""
        return Freeze(
            account_id=account_id,
            command_key=command_key,
            actor=principal.actor,
            amount_microcredits=parse_credits(self.amount),
            ttl_us=self.ttl_s * _SECOND_US,
            reference=self.reference,
        )


class ConfirmRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the freeze to take; all of it where nothing is said."""

    amount: CreditsOrNone | None = None

    def command(self, freeze: FreezeView, command_key: str, principal: Principal) -> Confirm:
        """Return the ledger's command for it."""
        return Confirm(
            account_id=freeze.account_id,
            command_key=command_key,
            actor=principal.actor,
            freeze_id=freeze.id,
            amount_microcredits=None if self.amount is None else parse_credits_or_zero(self.amount),
        )


class RollbackRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the freeze is released."""

    reason: Annotated[str, Meta(max_length=500, pattern=NO_NUL)] = ""

    def command(self, freeze: FreezeView, command_key: str, principal: Principal) -> Rollback:
        """Return the ledger's command for it."""
        return Rollback(
            account_id=freeze.account_id,
            command_key=command_key,
            actor=principal.actor,
            freeze_id=freeze.id,
            reason=self.reason,
        )


TAKE_ALL: Final = ConfirmRequest()
NO_REASON: Final = RollbackRequest()


class FreezeAnswer(Struct, frozen=True, kw_only=True):
    """A freeze. `confirmed`, `released` and `resolved_at` are null while it is open."""

    id: UUID
    account_id: UUID
    amount: str
    state: str
    expires_at: datetime
    reference: str
    confirmed: str | None = None
    released: str | None = None
    resolved_at: datetime | None = None


def stored_view(freeze: FreezeView) -> FreezeAnswer:
    """Show a freeze as it is now."""
    is_open = freeze.state is FreezeState.open
    return FreezeAnswer(
        id=freeze.id,
        account_id=freeze.account_id,
        amount=credits_of(freeze.amount),
        state=freeze.state.name,
        expires_at=freeze.expires_at,
        reference=freeze.reference,
        confirmed=None if is_open else credits_of(freeze.confirmed),
        released=None if is_open else credits_of(freeze.released),
        resolved_at=freeze.resolved_at,
    )


def opened_view(outcome: Outcome) -> FreezeAnswer:
    """Show a freeze as it was opened, whatever became of it since: a repeated request gets the same bytes."""
    body = outcome.event.decoded_body()
    assert isinstance(body, CreditsFrozen), "a freeze leads to this event"
    return FreezeAnswer(
        id=body.freeze_id,
        account_id=outcome.event.account_id,
        amount=credits_of(outcome.event.amount_microcredits),
        state=FreezeState.open.name,
        expires_at=from_us(body.expires_at_us),
        reference=body.reference,
    )


def confirmed_view(freeze: FreezeView, outcome: Outcome) -> FreezeAnswer:
    """Show a freeze as this confirm left it."""
    return _resolved_view(freeze, outcome, FreezeState.confirmed, outcome.event.amount_microcredits)


def rolled_back_view(freeze: FreezeView, outcome: Outcome) -> FreezeAnswer:
    """Show a freeze as this rollback left it."""
    return _resolved_view(freeze, outcome, FreezeState.rolled_back, 0)


@post("/v1/accounts/{account_id:uuid}/freezes", opt={"roles": MOVERS, "moves_credits": True, "problems": (402, 409)})
async def freeze(
    account_id: FromPath[UUID], data: JSONBody[FreezeRequest], request: ApiRequest
) -> Answer[FreezeAnswer]:
    """Set credits aside for one piece of work, for `ttl_s` seconds at most."""
    outcome = await request.services.writer.submit(data.command(account_id, request.command_key, request.principal))
    return Answer(opened_view(outcome), status=201, replayed=outcome.replayed)


@get("/v1/freezes/{freeze_id:uuid}", opt={"roles": READERS})
async def read_freeze(freeze_id: FromPath[UUID], request: ApiRequest) -> Answer[FreezeAnswer]:
    """Return a freeze as it is now."""
    return Answer(stored_view(await request.services.freezes.get(freeze_id)))


@post(
    "/v1/freezes/{freeze_id:uuid}/confirm",
    status_code=200,
    opt={"roles": MOVERS, "moves_credits": True, "problems": (409,)},
)
async def confirm(
    freeze_id: FromPath[UUID], request: ApiRequest, data: JSONBody[ConfirmRequest] = TAKE_ALL
) -> Answer[FreezeAnswer]:
    """Take all or part of a freeze; the rest is released."""
    command_key = request.command_key
    stored = await request.services.freezes.get(freeze_id)
    outcome = await request.services.writer.submit(data.command(stored, command_key, request.principal))
    return Answer(confirmed_view(stored, outcome), replayed=outcome.replayed)


@post(
    "/v1/freezes/{freeze_id:uuid}/rollback",
    status_code=200,
    opt={"roles": MOVERS, "moves_credits": True, "problems": (409,)},
)
async def rollback(
    freeze_id: FromPath[UUID], request: ApiRequest, data: JSONBody[RollbackRequest] = NO_REASON
) -> Answer[FreezeAnswer]:
    """Release the whole freeze."""
    command_key = request.command_key
    stored = await request.services.freezes.get(freeze_id)
    outcome = await request.services.writer.submit(data.command(stored, command_key, request.principal))
    return Answer(rolled_back_view(stored, outcome), replayed=outcome.replayed)


def _resolved_view(freeze: FreezeView, outcome: Outcome, state: FreezeState, confirmed: int) -> FreezeAnswer:
    return FreezeAnswer(
        id=freeze.id,
        account_id=freeze.account_id,
        amount=credits_of(freeze.amount),
        state=state.name,
        expires_at=freeze.expires_at,
        reference=freeze.reference,
        confirmed=credits_of(confirmed),
        released=credits_of(freeze.amount - confirmed),
        resolved_at=from_us(outcome.event.recorded_at_us),
    )
