"""What may be asked for in one step: top-ups, grants, adjustments, charges. Each becomes a command of the ledger.

Apart from the routes, so that the `holdfast` command can hold what it is given to the same rules without an API.
"""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from api.fields import END, Credits, Moment, Reason, Reference, SignedCredits, moment_us
from api.principal import Principal
from ledger.amounts import parse_credits
from ledger.commands import DEFAULT_PRIORITY, Adjust, Charge, Grant, TopUp

Priority = Annotated[int, Meta(ge=0, le=1_000_000, description="Lots with a lower number are spent first.")]


class Paid(Struct, frozen=True, forbid_unknown_fields=True):
    """What the customer paid, as the payment service says it; kept for the records, never computed with."""

    amount: Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?" + END)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3,5}" + END)]


class TopUpRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits that were bought."""

    amount: Credits
    reference: Reference = ""
    source: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}" + END)] = "top_up"
    paid: Paid | None = None
    priority: Priority = DEFAULT_PRIORITY
    expires_at: Moment | None = None

    def command(self, account_id: UUID, command_key: str, principal: Principal) -> TopUp:
        """Return the ledger's command for it."""
        return TopUp(
            account_id=account_id,
            command_key=command_key,
            actor=principal.actor,
            amount_microcredits=parse_credits(self.amount),
            reference=self.reference,
            source=self.source,
            paid_amount=self.paid.amount if self.paid else "",
            paid_currency=self.paid.currency if self.paid else "",
            priority=self.priority,
            expires_at_us=moment_us(self.expires_at),
        )


class GrantRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits that are given."""

    amount: Credits
    reason: Reason
    priority: Priority = DEFAULT_PRIORITY
    expires_at: Moment | None = None

    def command(self, account_id: UUID, command_key: str, principal: Principal) -> Grant:
        """Return the ledger's command for it."""
        return Grant(
            account_id=account_id,
            command_key=command_key,
            actor=principal.actor,
            amount_microcredits=parse_credits(self.amount),
            reason=self.reason,
            priority=self.priority,
            expires_at_us=moment_us(self.expires_at),
        )


class AdjustRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A correction, up or down."""

    amount: SignedCredits
    reason: Reason
    allow_negative: bool = False

    def command(self, account_id: UUID, command_key: str, principal: Principal) -> Adjust:
        """Return the ledger's command for it."""
        return Adjust(
            account_id=account_id,
            command_key=command_key,
            actor=principal.actor,
            amount_microcredits=parse_credits(self.amount, signed=True),
            reason=self.reason,
            allow_negative=self.allow_negative,
        )


class ChargeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A debit in one step."""

    amount: Credits
    reference: Annotated[Reference, Meta(min_length=1)]

    def command(self, account_id: UUID, command_key: str, principal: Principal) -> Charge:
        """Return the ledger's command for it."""
        return Charge(
            account_id=account_id,
            command_key=command_key,
            actor=principal.actor,
            amount_microcredits=parse_credits(self.amount),
            reference=self.reference,
        )
