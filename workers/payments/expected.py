"""What we offered somebody: the payment that fits it, and the credits that it brings."""

from uuid import UUID

from msgspec import Struct

from ledger.batch import Rider
from ledger.commands import Command
from workers.payments.money import Money


class Expected(Struct, frozen=True, kw_only=True):
    """What a payment must be like to be credited, and what is credited then."""

    account_id: UUID
    order_id: UUID | None
    gateway: str
    price: Money
    tax_inclusive: bool
    """Otherwise tax comes on top of `price`."""
    credits_microcredits: int
    source: str
    """Of the lot: `pack`, `plan`, `auto_top_up`."""
    product: str
    """What was bought, as the catalogue calls it."""
    expires_at_us: int | None = None
    before: tuple[Command, ...] = ()
    """Commands on the same account that commit together with the top-up, before it."""
    riders: tuple[Rider, ...] = ()
    """A guard that finds no row means that this was paid for already, by another payment."""
