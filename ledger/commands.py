"""What callers may ask of the ledger. Commands are imperative; the events they lead to are in `ledger.events`.

Every command names one account and carries a `command_key`, unique per account for ever: the same key with the same
request returns the original outcome, with another request it is refused. Keys that begin with `holdfast:` are ours.
Times are `int` microseconds since the Unix epoch, amounts `int` microcredits.
"""

import functools
import hashlib
import operator
from collections.abc import Callable
from typing import ClassVar, Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

COMMAND_KEY_MAX_CHARACTERS: Final = 200
OWN_KEY_PREFIX: Final = "holdfast:"
DEFAULT_PRIORITY: Final = 100
"""Lots with a lower priority number are spent first."""

DEFAULT_FREEZE_TTL_US: Final = 60 * 60 * 1_000_000

_encode: Final = msgspec.msgpack.Encoder().encode


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all commands have in common: whose account, under which key, and who asks."""

    account_id: UUID
    command_key: str
    actor: str = ""

    IDENTITY: ClassVar[tuple[str, ...]]
    """The fields that make two requests under one key the same request. Ids that the edge draws are not among them."""

    def digest(self) -> int:
        """Return 64 bits that tell this request from another one under the same key."""
        encoded = _encode((type(self).__name__, self._identity()))
        return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big", signed=True)

    def _identity(self) -> object:
        return _identity_of(type(self))(self)


@functools.cache
def _identity_of(kind: type[Command]) -> Callable[[Command], object]:
    return operator.attrgetter(*kind.IDENTITY)


class OpenAccount(Command, frozen=True, kw_only=True):
    """Open the account. Opening it again, under any name, is the same request."""

    owner: str
    name: str = ""

    IDENTITY = ("owner",)


class TopUp(Command, frozen=True, kw_only=True):
    """Bring in credits that were bought, as a new lot."""

    amount_microcredits: int
    reference: str = ""
    source: str = "top_up"
    paid_amount: str = ""
    paid_currency: str = ""
    priority: int = DEFAULT_PRIORITY
    expires_at_us: int | None = None
    effective_at_us: int | None = None
    lot_id: UUID = msgspec.field(default_factory=uuid7)

    IDENTITY = (
        "amount_microcredits", "reference", "source", "paid_amount", "paid_currency", "priority", "expires_at_us",
        "effective_at_us",
    )  # fmt: skip


class Grant(Command, frozen=True, kw_only=True):
    """Bring in credits that were given, as a new lot."""

    amount_microcredits: int
    reason: str
    priority: int = DEFAULT_PRIORITY
    expires_at_us: int | None = None
    lot_id: UUID = msgspec.field(default_factory=uuid7)

    IDENTITY = ("amount_microcredits", "reason", "priority", "expires_at_us")


class Freeze(Command, frozen=True, kw_only=True):
    """Set credits aside for one piece of work, for `ttl_us` at most."""

    amount_microcredits: int
    ttl_us: int = DEFAULT_FREEZE_TTL_US
    reference: str = ""
    freeze_id: UUID = msgspec.field(default_factory=uuid7)

    IDENTITY = ("amount_microcredits", "ttl_us", "reference")


class Confirm(Command, frozen=True, kw_only=True):
    """Take all (`None`) or part, down to nothing, of a freeze; the rest is released."""

    freeze_id: UUID
    amount_microcredits: int | None = None

    IDENTITY = ("freeze_id", "amount_microcredits")


class Rollback(Command, frozen=True, kw_only=True):
    """Release the whole freeze."""

    freeze_id: UUID
    reason: str = ""

    IDENTITY = ("freeze_id", "reason")


class ExpireFreeze(Command, frozen=True, kw_only=True):
    """Roll back a freeze whose time is over."""

    freeze_id: UUID

    IDENTITY = ("freeze_id",)


class Charge(Command, frozen=True, kw_only=True):
    """Debit in one step. With `at_most`, take what is there, down to nothing, and record the shortfall."""

    amount_microcredits: int
    reference: str = ""
    at_most: bool = False

    IDENTITY = ("amount_microcredits", "reference", "at_most")


class Adjust(Command, frozen=True, kw_only=True):
    """Correct a balance by a signed amount; only `allow_negative` lets it end below zero."""

    amount_microcredits: int
    reason: str
    allow_negative: bool = False
    lot_id: UUID = msgspec.field(default_factory=uuid7)

    IDENTITY = ("amount_microcredits", "reason", "allow_negative")


class ExpireLot(Command, frozen=True, kw_only=True):
    """Remove what is left of a lot whose time is over; with `keep_microcredits`, at once what it has beyond these."""

    lot_number: int
    keep_microcredits: int = 0

    IDENTITY = ("lot_number", "keep_microcredits")

    def _identity(self) -> object:
        # Keys of before there was anything to keep are kept for ever, too.
        return (self.lot_number, self.keep_microcredits) if self.keep_microcredits else self.lot_number


class ReverseTopUp(Command, frozen=True, kw_only=True):
    """Take back credits whose payment was refunded or disputed, into debt if they are spent."""

    lot_number: int
    amount_microcredits: int
    reason: str = ""

    IDENTITY = ("lot_number", "amount_microcredits", "reason")


class ReinstateReversal(Command, frozen=True, kw_only=True):
    """Give back what a reversal took, because the refund failed or the dispute was won."""

    reversal_version: int
    reason: str = ""
    lot_id: UUID = msgspec.field(default_factory=uuid7)

    IDENTITY = ("reversal_version", "reason")
