"""Commands and accounts with defaults, so that a test spells out only what it is about."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid4

from ledger import commands
from ledger.account import Account, evolve
from ledger.decide import decide

ACCOUNT_ID: Final = UUID("01980000-0000-7000-8000-000000000001")
FREEZE_ID: Final = UUID("01980000-0000-7000-8000-00000000f001")
LOT_ID: Final = UUID("01980000-0000-7000-8000-000000001001")
NOW_US: Final = 1_790_000_000_000_000
SECOND_US: Final = 1_000_000


def common(account_id: UUID, fields: dict[str, Any]) -> dict[str, Any]:
    """What every command has, under a key of its own unless one is given."""
    return {"account_id": account_id, "command_key": uuid4().hex, **fields}


def open_account(account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.OpenAccount:
    defaults = {"command_key": "holdfast:open", "owner": f"owner of {account_id}"}
    return commands.OpenAccount(**common(account_id, {**defaults, **fields}))


def top_up(amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.TopUp:
    return commands.TopUp(amount_microcredits=amount, **common(account_id, fields))


def grant(amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.Grant:
    return commands.Grant(amount_microcredits=amount, **common(account_id, {"reason": "welcome", **fields}))


def freeze(amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.Freeze:
    return commands.Freeze(amount_microcredits=amount, **common(account_id, fields))


def confirm(
    freeze_id: UUID, amount: int | None = None, account_id: UUID = ACCOUNT_ID, **fields: Any
) -> commands.Confirm:
    return commands.Confirm(freeze_id=freeze_id, amount_microcredits=amount, **common(account_id, fields))


def rollback(freeze_id: UUID, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.Rollback:
    return commands.Rollback(freeze_id=freeze_id, **common(account_id, fields))


def expire_freeze(freeze_id: UUID, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.ExpireFreeze:
    return commands.ExpireFreeze(freeze_id=freeze_id, **common(account_id, fields))


def charge(amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.Charge:
    return commands.Charge(amount_microcredits=amount, **common(account_id, fields))


def adjust(amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.Adjust:
    return commands.Adjust(amount_microcredits=amount, **common(account_id, {"reason": "correction", **fields}))


def expire_lot(lot_number: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.ExpireLot:
    return commands.ExpireLot(lot_number=lot_number, **common(account_id, fields))


def reverse(lot_number: int, amount: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.ReverseTopUp:
    return commands.ReverseTopUp(lot_number=lot_number, amount_microcredits=amount, **common(account_id, fields))


def reinstate(reversal_version: int, account_id: UUID = ACCOUNT_ID, **fields: Any) -> commands.ReinstateReversal:
    return commands.ReinstateReversal(reversal_version=reversal_version, **common(account_id, fields))


def applied(account: Account, given: Iterable[commands.Command], *, now_us: int = NOW_US) -> Account:
    """Decide and apply each command, in place; a refusal fails the test."""
    for command in given:
        evolve(account, decide(account, command, now_us=now_us), recorded_at_us=now_us)
    return account


def account_after(*given: commands.Command, now_us: int = NOW_US) -> Account:
    """An account that was opened (version 1) and then given these commands (versions from 2)."""
    return applied(Account(ACCOUNT_ID), [open_account(), *given], now_us=now_us)
