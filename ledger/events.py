"""What happened, for ever. An event is a fixed-width header, its command key, and a JSON body kept as the bytes hashed.

The header has what every projection sums; the body has what is particular to the kind. Both, and the hash of the
account's previous event, go into the event's hash, so an account's events form a chain. Stored events only ever gain
optional fields. Times are `int` microseconds since the Unix epoch, amounts `int` microcredits.
"""

import hashlib
import struct
from enum import IntEnum
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

Portion: TypeAlias = tuple[int, int]
"""A lot number and an amount in microcredits that comes from or goes to this lot."""


class Kind(IntEnum):
    """The kinds of event, by the number they are stored under. Numbers are never reused."""

    account_opened = 1
    credits_topped_up = 2
    credits_granted = 3
    credits_frozen = 4
    freeze_confirmed = 5
    freeze_rolled_back = 6
    credits_charged = 7
    credits_adjusted = 8
    credits_expired = 9
    top_up_reversed = 10
    reversal_reinstated = 11


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is particular to one kind of event."""

    actor: str = ""
    effective_at_us: int | None = None


class AccountOpened(Body, frozen=True, kw_only=True):
    """The account exists from here on."""

    owner: str
    name: str = ""


class CreditsToppedUp(Body, frozen=True, kw_only=True):
    """Bought credits came in as the lot whose number is this event's version."""

    lot_id: UUID
    source: str
    priority: int
    reference: str = ""
    paid_amount: str = ""
    paid_currency: str = ""
    expires_at_us: int | None = None
    debt_paid_microcredits: int = 0


class CreditsGranted(Body, frozen=True, kw_only=True):
    """Given credits came in as the lot whose number is this event's version."""

    lot_id: UUID
    priority: int
    reason: str = ""
    expires_at_us: int | None = None
    debt_paid_microcredits: int = 0


class CreditsFrozen(Body, frozen=True, kw_only=True):
    """Credits were set aside from these lots."""

    freeze_id: UUID
    draws: tuple[Portion, ...]
    expires_at_us: int
    reference: str = ""


class FreezeConfirmed(Body, frozen=True, kw_only=True):
    """Of a freeze, `draws` were spent; the rest went back to its lots, expired with them, or paid a debt."""

    freeze_id: UUID
    draws: tuple[Portion, ...] = ()
    returned: tuple[Portion, ...] = ()
    expired: tuple[Portion, ...] = ()
    debt_paid_microcredits: int = 0


class FreezeRolledBack(Body, frozen=True, kw_only=True):
    """A whole freeze went back to its lots, expired with them, or paid a debt."""

    freeze_id: UUID
    returned: tuple[Portion, ...] = ()
    expired: tuple[Portion, ...] = ()
    debt_paid_microcredits: int = 0
    reason: str = ""


class CreditsCharged(Body, frozen=True, kw_only=True):
    """Credits were spent in one step; `shortfall_microcredits` of what was asked for were not there."""

    draws: tuple[Portion, ...] = ()
    reference: str = ""
    shortfall_microcredits: int = 0


class CreditsAdjusted(Body, frozen=True, kw_only=True):
    """An administrator corrected the balance: up, as a new lot (`lot_id`), or down, from lots and then into debt."""

    reason: str
    lot_id: UUID | None = None
    priority: int = 0
    draws: tuple[Portion, ...] = ()
    debt_paid_microcredits: int = 0


class CreditsExpired(Body, frozen=True, kw_only=True):
    """What was left of a lot expired, or what it had beyond `kept_microcredits`, which are still in it."""

    lot_number: int
    kept_microcredits: int = 0


class TopUpReversed(Body, frozen=True, kw_only=True):
    """A top-up was taken back: from lots, from what had expired of it already, and the rest as debt."""

    lot_number: int
    draws: tuple[Portion, ...] = ()
    already_expired_microcredits: int = 0
    debt_microcredits: int = 0
    reason: str = ""


class ReversalReinstated(Body, frozen=True, kw_only=True):
    """A reversal was undone: back to the lots, and what it had made debt as a new lot (`lot_id`) where it is paid."""

    reversal_version: int
    lot_number: int
    returned: tuple[Portion, ...] = ()
    expired: tuple[Portion, ...] = ()
    already_expired_microcredits: int = 0
    debt_paid_microcredits: int = 0
    lot_id: UUID | None = None
    priority: int = 0
    new_lot_microcredits: int = 0
    reason: str = ""


BODY_OF_KIND: Final[dict[Kind, type[Body]]] = {
    Kind.account_opened: AccountOpened,
    Kind.credits_topped_up: CreditsToppedUp,
    Kind.credits_granted: CreditsGranted,
    Kind.credits_frozen: CreditsFrozen,
    Kind.freeze_confirmed: FreezeConfirmed,
    Kind.freeze_rolled_back: FreezeRolledBack,
    Kind.credits_charged: CreditsCharged,
    Kind.credits_adjusted: CreditsAdjusted,
    Kind.credits_expired: CreditsExpired,
    Kind.top_up_reversed: TopUpReversed,
    Kind.reversal_reinstated: ReversalReinstated,
}

_encode_body: Final = msgspec.json.Encoder().encode
_DECODERS: Final = {kind: msgspec.json.Decoder(body).decode for kind, body in BODY_OF_KIND.items()}

GENESIS_HASH: Final = bytes(32)
"""What the first event of an account has as its predecessor's hash."""

_HEADER: Final = struct.Struct(">B16sqhqqqqqH")
_HEADER_SHAPE: Final = 1


class Event(msgspec.Struct, frozen=True, gc=False):
    """One fact about one account, as it is stored."""

    account_id: UUID
    version: int
    kind: Kind
    amount_microcredits: int
    available_after_microcredits: int
    frozen_after_microcredits: int
    recorded_at_us: int
    command_key: str
    request_digest: int
    body: bytes
    hash: bytes

    def decoded_body(self) -> Body:
        """Decode what is particular to the kind.

        Raises:
            msgspec.DecodeError: the stored bytes are not such a body.
        """
        return _DECODERS[self.kind](self.body)


def encode_body(body: Body) -> bytes:
    """Encode a body as the JSON bytes that are hashed and stored, and never encoded again."""
    return _encode_body(body)


def chain_hash(
    previous_hash: bytes,
    *,
    account_id: UUID,
    version: int,
    kind: int,
    amount_microcredits: int,
    available_after_microcredits: int,
    frozen_after_microcredits: int,
    recorded_at_us: int,
    command_key: str,
    request_digest: int,
    body: bytes,
) -> bytes:
    """SHA-256 over the previous event's hash, the header, the command key and the body.

    The header is big-endian: shape (1 byte), account id (16), version (8), kind (2), amount, available after, frozen
    after, recorded at, request digest (8 each), length of the command key in UTF-8 (2).
    """
    key = command_key.encode()
    header = _HEADER.pack(
        _HEADER_SHAPE,
        account_id.bytes,
        version,
        kind,
        amount_microcredits,
        available_after_microcredits,
        frozen_after_microcredits,
        recorded_at_us,
        request_digest,
        len(key),
    )
    return hashlib.sha256(b"".join((previous_hash, header, key, body))).digest()
