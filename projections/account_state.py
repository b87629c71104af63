"""The state of one account as bytes, and going on from there.

A snapshot keeps what can still move: lots that hold credits and open freezes. Lots that are used up are many and matter
again only when a reversal names one; then the event that brought the lot in says what it was.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import events
from ledger.account import Account, Decision, FreezeState, OpenFreeze, Reversal, evolve
from ledger.events import Event, Portion
from ledger.lots import Lot, Origin
from ledger.rows import event_of_row
from projections.projection import sql


class AccountState(msgspec.Struct, frozen=True):
    """An account without what is over."""

    id: UUID
    version: int
    available: int
    frozen: int
    credited: int
    spent: int
    expired: int
    reversed: int
    head: bytes
    updated_at_us: int
    lots: tuple[Lot, ...]
    freezes: tuple[OpenFreeze, ...]

    @property
    def items(self) -> int:
        """How many things it lists."""
        return len(self.lots) + len(self.freezes)


encode_state: Final = msgspec.msgpack.Encoder().encode
decode_state: Final = msgspec.msgpack.Decoder(AccountState).decode


def state_of(account: Account) -> AccountState:
    """Keep what can still move of an account."""
    return AccountState(
        id=account.id,
        version=account.version,
        available=account.available,
        frozen=account.frozen,
        credited=account.credited,
        spent=account.spent,
        expired=account.expired,
        reversed=account.reversed,
        head=account.head,
        updated_at_us=account.updated_at_us,
        lots=tuple(lot for lot in account.lots.values() if lot.remaining or lot.frozen),
        freezes=tuple(freeze for freeze in account.freezes.values() if freeze.state is FreezeState.open),
    )


def account_of(state: AccountState) -> Account:
    """Bring an account back, to apply further events to it."""
    return Account(
        id=state.id,
        version=state.version,
        available=state.available,
        frozen=state.frozen,
        credited=state.credited,
        spent=state.spent,
        expired=state.expired,
        reversed=state.reversed,
        head=state.head,
        updated_at_us=state.updated_at_us,
        lots={lot.number: lot for lot in state.lots},
        freezes={freeze.id: freeze for freeze in state.freezes},
    )


async def go_on(connection: AsyncConnection[Any], account: Account, following: Sequence[Event]) -> None:
    """Apply events to an account that may have been brought back, in place.

    Raises:
        AssertionError: the events contradict each other, or what was before them.
        msgspec.DecodeError: an event's body is not what its kind says.
    """
    decoded = [(event, event.decoded_body()) for event in following]
    await _recall(connection, account, [body for _, body in decoded])
    for event, body in decoded:
        decision = Decision(event.kind, event.amount_microcredits, body)
        evolve(account, decision, recorded_at_us=event.recorded_at_us)
        account.head = event.hash
        assert account.version == event.version, "versions of an account have no gaps"
        assert account.available == event.available_after_microcredits, "an event says what is available after it"
        assert account.frozen == event.frozen_after_microcredits, "an event says what is frozen after it"


async def _recall(connection: AsyncConnection[Any], account: Account, bodies: Sequence[events.Body]) -> None:
    """Bring back the lots and reversals of before that these events name and the account no longer lists."""
    lots: set[int] = set()
    reversals: set[int] = set()
    for body in bodies:
        lots.update(_lots_named(body))
        if isinstance(body, events.ReversalReinstated):
            reversals.add(body.reversal_version)
    lots = {number for number in lots if number <= account.version} - account.lots.keys()
    reversals = {version for version in reversals if version <= account.version} - account.reversals.keys()
    if not lots and not reversals:
        return
    parameters = {"account_id": account.id, "versions": sorted(lots | reversals)}
    rows = await (await connection.execute(sql.READ_EVENTS_AT, parameters)).fetchall()
    for event in map(event_of_row, rows):
        if event.version in lots:
            account.lots[event.version] = _used_up_lot(event)
        else:
            account.reversals[event.version] = _reversal(event)


def _lots_named(body: events.Body) -> set[int]:
    portions: tuple[Portion, ...] = (
        *getattr(body, "draws", ()),
        *getattr(body, "returned", ()),
        *getattr(body, "expired", ()),
    )
    numbers = {number for number, _ in portions}
    if isinstance(body, events.TopUpReversed | events.ReversalReinstated | events.CreditsExpired):
        numbers.add(body.lot_number)
    return numbers


def _used_up_lot(event: Event) -> Lot:
    body = event.decoded_body()
    amount = event.amount_microcredits
    match body:
        case events.CreditsToppedUp():
            origin, source, expires_at_us = Origin.top_up, body.source, body.expires_at_us
        case events.CreditsGranted():
            origin, source, expires_at_us = Origin.grant, "grant", body.expires_at_us
        case events.CreditsAdjusted():
            origin, source, expires_at_us = Origin.adjustment, "adjustment", None
        case events.ReversalReinstated():
            # The rest of it went back to where it had been taken from.
            origin, source, expires_at_us, amount = (
                Origin.reinstatement,
                "reinstatement",
                None,
                body.new_lot_microcredits,
            )
        case _:
            raise AssertionError("a lot is brought in by one of four kinds of event")
    assert body.lot_id is not None, "an event that brings in a lot names it"
    return Lot(
        number=event.version,
        id=body.lot_id,
        origin=origin,
        source=source,
        priority=body.priority,
        expires_at_us=expires_at_us,
        amount=amount,
        remaining=0,
    )


def _reversal(event: Event) -> Reversal:
    body = event.decoded_body()
    assert isinstance(body, events.TopUpReversed), "only a reversal is reinstated"
    return Reversal(
        version=event.version,
        lot_number=body.lot_number,
        amount=event.amount_microcredits,
        draws=body.draws,
        already_expired=body.already_expired_microcredits,
        debt=body.debt_microcredits,
    )
