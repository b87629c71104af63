"""Why the ledger says no.

`Refused` is final for this request; a refusal is not recorded, so the same key may succeed later. `Contended` may be
retried as it is, under the same key. `code` is public API; the message is for people.
"""

from typing import ClassVar
from uuid import UUID


class LedgerError(Exception):
    """Anything the ledger refuses or cannot do now."""

    code: ClassVar[str] = "ledger_error"


class Refused(LedgerError):
    """The rules of the ledger forbid this command."""

    code = "refused"


class Contended(LedgerError):
    """The database could not take the command now. It may be sent again, under the same key.

    Nothing was written; only where the connection died at the commit and the database stayed away is it unknown, and
    then the key makes that safe.
    """

    code = "contended"


class InvalidAmount(Refused):
    """An amount is not a positive number of credits with at most six places, or is too large."""

    code = "invalid_amount"

    def __init__(self, amount: str, reason: str) -> None:
        super().__init__(f"{amount[:40]!r} is not a valid amount: {reason}")
        self.reason = reason


class AccountNotFound(Refused):
    """No account has this id."""

    code = "account_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"no account {account_id}")
        self.account_id = account_id


class InsufficientCredits(Refused):
    """A freeze, charge or adjustment asked for more than the account has available."""

    code = "insufficient_credits"

    def __init__(self, *, required_microcredits: int, available_microcredits: int) -> None:
        super().__init__("the account has fewer credits available than this needs")
        self.required_microcredits = required_microcredits
        self.available_microcredits = available_microcredits


class AccountInDebt(Refused):
    """The account owes credits after a reversal or an override; nothing is spent until it is settled."""

    code = "account_in_debt"

    def __init__(self, *, required_microcredits: int, available_microcredits: int) -> None:
        super().__init__("the account owes credits; top it up before spending")
        self.required_microcredits = required_microcredits
        self.available_microcredits = available_microcredits


class BalanceLimitExceeded(Refused):
    """More credits would have come in to this account than its totals can hold."""

    code = "balance_limit_exceeded"

    def __init__(self) -> None:
        super().__init__("the account's lifetime total would pass its limit")


class FreezeNotFound(Refused):
    """No freeze of this account has this id."""

    code = "freeze_not_found"

    def __init__(self, freeze_id: UUID) -> None:
        super().__init__(f"no freeze {freeze_id}")
        self.freeze_id = freeze_id


class FreezeAlreadyResolved(Refused):
    """The freeze was confirmed or rolled back before, under another key."""

    code = "freeze_already_resolved"

    def __init__(self, freeze_id: UUID, *, state: str) -> None:
        super().__init__(f"freeze {freeze_id} is already {state}")
        self.freeze_id = freeze_id
        self.state = state


class FreezeExists(Refused):
    """Another freeze of this account already has this id."""

    code = "freeze_exists"

    def __init__(self, freeze_id: UUID) -> None:
        super().__init__(f"freeze {freeze_id} exists already")
        self.freeze_id = freeze_id


class FreezeNotExpired(Refused):
    """A freeze was to be expired before its time."""

    code = "freeze_not_expired"

    def __init__(self, freeze_id: UUID) -> None:
        super().__init__(f"freeze {freeze_id} has not expired yet")
        self.freeze_id = freeze_id


class AmountExceedsFreeze(Refused):
    """A confirm asked for more than was frozen."""

    code = "amount_exceeds_freeze"

    def __init__(self, *, amount_microcredits: int, frozen_microcredits: int) -> None:
        super().__init__("a confirm cannot take more than was frozen")
        self.amount_microcredits = amount_microcredits
        self.frozen_microcredits = frozen_microcredits


class LotNotFound(Refused):
    """No lot of this account has this number."""

    code = "lot_not_found"

    def __init__(self, lot_number: int) -> None:
        super().__init__(f"no lot {lot_number}")
        self.lot_number = lot_number


class LotNotExpirable(Refused):
    """The lot has not reached its expiry, has none, or has nothing left to expire."""

    code = "lot_not_expirable"

    def __init__(self, lot_number: int) -> None:
        super().__init__(f"lot {lot_number} has nothing to expire now")
        self.lot_number = lot_number


class AmountExceedsLot(Refused):
    """Reversals of one top-up together would take back more than came in with it."""

    code = "amount_exceeds_top_up"

    def __init__(self, *, amount_microcredits: int, reversible_microcredits: int) -> None:
        super().__init__("a reversal cannot take back more than the top-up brought in")
        self.amount_microcredits = amount_microcredits
        self.reversible_microcredits = reversible_microcredits


class ReversalNotFound(Refused):
    """No reversal of this account stands at this version, or it is already reinstated."""

    code = "reversal_not_found"

    def __init__(self, reversal_version: int) -> None:
        super().__init__(f"no open reversal at version {reversal_version}")
        self.reversal_version = reversal_version


class IdempotencyKeyReused(Refused):
    """The key already belongs to a different request of this account."""

    code = "idempotency_key_reused"

    def __init__(self, command_key: str) -> None:
        super().__init__("this idempotency key was used for a different request")
        self.command_key = command_key


class RiderRefused(Refused):
    """A row that was to commit with the command no longer admits it, for example because another attempt took over."""

    code = "rider_refused"

    def __init__(self) -> None:
        super().__init__("what this command was to settle has moved on")


class InvalidCommandKey(Refused):
    """A command key is empty or too long."""

    code = "invalid_command_key"

    def __init__(self, length: int) -> None:
        super().__init__(f"a command key has from 1 to 200 characters, not {length}")
        self.length = length


class OutOfRange(Refused):
    """A time, duration or priority is beyond what can be kept and read back."""

    code = "out_of_range"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is out of range")
        self.field = field


class UnstorableText(Refused):
    """A text has characters that cannot be stored, such as NUL or half of a surrogate pair."""

    code = "invalid_text"

    def __init__(self) -> None:
        super().__init__("a text contains characters that cannot be stored")
