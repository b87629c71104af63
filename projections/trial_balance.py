"""The trial balance: what every account of the chart holds in every commodity."""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec
from psycopg import AsyncConnection

from projections.chart import NAME_OF_ACCOUNT, LedgerAccount
from projections.money import format_micros
from projections.projection import sql


class AccountBalance(msgspec.Struct, frozen=True, order=True):
    """What went into an account and out of it, in millionths of the commodity."""

    account: LedgerAccount
    commodity: str
    debit: int
    credit: int

    @property
    def name(self) -> str:
        """The account's name in the chart."""
        return NAME_OF_ACCOUNT[self.account]

    @property
    def balance(self) -> int:
        """Debits less credits."""
        return self.debit - self.credit


class Movement(msgspec.Struct, frozen=True):
    """What went from one account to another in all, in millionths of the commodity."""

    debit: LedgerAccount
    credit: LedgerAccount
    commodity: str
    amount: int

    @property
    def accounts(self) -> tuple[LedgerAccount, LedgerAccount]:
        """Both of them."""
        return self.debit, self.credit


async def read_movements(
    connection: AsyncConnection[Any], *, build: int, seq: int, through: date = date.max
) -> list[Movement]:
    """Sum the journal between pairs of accounts: what the first `seq` events booked up to and on the day `through`."""
    parameters = {"build": build, "seq": seq, "through": through}
    return [
        Movement(LedgerAccount(debit), LedgerAccount(credit), commodity, int(amount))
        async for debit, credit, commodity, amount in await connection.execute(sql.READ_MOVEMENTS, parameters)
    ]


async def read_trial_balance(
    connection: AsyncConnection[Any], *, build: int, seq: int, through: date = date.max
) -> list[AccountBalance]:
    """Sum the journal by account and commodity: what the first `seq` events booked up to and on the day `through`."""
    return trial_balance_of(await read_movements(connection, build=build, seq=seq, through=through))


def trial_balance_of(movements: Iterable[Movement]) -> list[AccountBalance]:
    """Sum movements by account and commodity, in the order of the chart."""
    debits: Counter[tuple[LedgerAccount, str]] = Counter()
    credited: Counter[tuple[LedgerAccount, str]] = Counter()
    for movement in movements:
        debits[movement.debit, movement.commodity] += movement.amount
        credited[movement.credit, movement.commodity] += movement.amount
    return [
        AccountBalance(account, commodity, debits[account, commodity], credited[account, commodity])
        for account, commodity in sorted(debits.keys() | credited.keys())
    ]


def trial_balance_csv(balances: Iterable[AccountBalance]) -> bytes:
    """Write a trial balance as CSV, always the same bytes for the same balances."""
    lines = ["account,name,commodity,debit,credit,balance"]
    for line in sorted(balances):
        amounts = ",".join(format_micros(amount) for amount in (line.debit, line.credit, line.balance))
        lines.append(f"{int(line.account)},{line.name},{line.commodity},{amounts}")
    return "".join(f"{line}\r\n" for line in lines).encode()
