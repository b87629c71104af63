"""What a generation costs by how it ended, and the ledger commands that make it so. Pure.

| how it ended | customer pays |
|---|---|
| completed | what was used, at the price version of admission |
| cancelled | what was delivered |
| failed | nothing |

What it cost above the freeze is charged as far as the account has credits; the rest is recorded as a shortfall.
"""

from typing import Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from ledger.commands import OWN_KEY_PREFIX, Charge, Command, Confirm, Rollback
from workers.generations import GenerationStatus
from workers.pricing import Prices
from workers.providers import Usage
from workers.streams.terminal import Failure

ACTOR: Final = "generations"

EndedAs: TypeAlias = Literal["completed", "cancelled", "failed"]


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation ended, before anyone asked what it costs."""

    ended_as: EndedAs
    usage: Usage | None = None
    """What the customer is billed by where they pay, and what we were billed by in any case. `None`: nobody knows."""
    usage_estimated: bool = False
    finish_reason: str | None = None
    error: Failure | None = None
    provider_message: str | None = None
    price_percent: int = 100
    """How much of the price is asked: less for an answer that nobody had to be paid for."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell the ledger, and what follows for the generation's row."""

    status: GenerationStatus
    confirmed_microcredits: int
    """Of the freeze; the rest of it is released."""
    overage_microcredits: int
    """Owed above the freeze. How much of it the account can pay is known only when it is charged."""
    commands: tuple[Command, ...]
    """None for a model that is free: nothing was frozen."""


def settle_key(generation_id: UUID) -> str:
    """Return the key under which a generation is settled: by whichever attempt, once."""
    return f"{OWN_KEY_PREFIX}settle:{generation_id}"


def overage_key(generation_id: UUID) -> str:
    """Return the key of the charge for what a generation cost above its freeze."""
    return f"{OWN_KEY_PREFIX}settle:{generation_id}:overage"


def decide_settlement(
    ending: Ending, *, account_id: UUID, generation_id: UUID, frozen_microcredits: int, prices: Prices
) -> Settlement:
    """Decide what the customer pays for a generation that ended this way."""
    pays = ending.ended_as != "failed" and ending.usage is not None
    cost = _percent(prices.cost(ending.usage), ending.price_percent) if pays and ending.usage is not None else 0
    confirmed = min(cost, frozen_microcredits)
    overage = cost - confirmed
    commands: tuple[Command, ...] = ()
    if frozen_microcredits > 0:
        resolution = _resolve(ending, account_id, generation_id, confirmed)
        commands = (resolution, _charge(account_id, generation_id, overage)) if overage else (resolution,)
    assert frozen_microcredits > 0 or cost == 0, "nothing is frozen only where nothing can be owed"
    return Settlement(
        status=GenerationStatus[ending.ended_as],
        confirmed_microcredits=confirmed,
        overage_microcredits=overage,
        commands=commands,
    )


def _percent(cost: int, percent: int) -> int:
    return -(-cost * percent // 100)


def _resolve(ending: Ending, account_id: UUID, generation_id: UUID, confirmed: int) -> Command:
    if confirmed == 0 and ending.ended_as != "completed":
        return Rollback(
            account_id=account_id,
            command_key=settle_key(generation_id),
            actor=ACTOR,
            freeze_id=generation_id,
            reason=ending.error.code if ending.error is not None else ending.ended_as,
        )
    return Confirm(
        account_id=account_id,
        command_key=settle_key(generation_id),
        actor=ACTOR,
        freeze_id=generation_id,
        amount_microcredits=confirmed,
    )


def _charge(account_id: UUID, generation_id: UUID, overage: int) -> Command:
    return Charge(
        account_id=account_id,
        command_key=overage_key(generation_id),
        actor=ACTOR,
        amount_microcredits=overage,
        reference=f"generation:{generation_id}",
        at_most=True,
    )
