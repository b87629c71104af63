"""A ledger event as the API shows it."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from api.fields import credits_of, us_moment
from ledger.events import Event
from ledger.rows import from_us


class EventView(Struct, frozen=True, kw_only=True):
    """One fact about an account. `seq` is null until the event is sealed into the one order of all events."""

    account_id: UUID
    version: int
    seq: int | None
    kind: str
    amount: str
    available_after: str
    frozen_after: str
    reference: str
    reason: str
    actor: str
    command_key: str
    recorded_at: datetime
    effective_at: datetime
    hash: str


def event_view(event: Event, *, seq: int | None = None) -> EventView:
    """Show an event. Everything but `seq` is stored, so that two calls give the same bytes."""
    body = event.decoded_body()
    recorded_at = from_us(event.recorded_at_us)
    return EventView(
        account_id=event.account_id,
        version=event.version,
        seq=seq,
        kind=event.kind.name,
        amount=credits_of(event.amount_microcredits),
        available_after=credits_of(event.available_after_microcredits),
        frozen_after=credits_of(event.frozen_after_microcredits),
        reference=getattr(body, "reference", ""),
        reason=getattr(body, "reason", ""),
        actor=body.actor,
        command_key=event.command_key,
        recorded_at=recorded_at,
        effective_at=us_moment(body.effective_at_us) or recorded_at,
        hash=event.hash.hex(),
    )
