"""The trial balance: what every account of the chart holds in every commodity."""

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


async def read_trial_balance(
    connection: AsyncConnection[Any], *, build: int, seq: int, through: date = date.max
) -> list[AccountBalance]:
    """Sum the journal: what the first `seq` events booked up to and on the day `through`, by account and commodity."""
    parameters = {"build": build, "seq": seq, "through": through}
    debits: dict[tuple[int, str], int] = {}
    credited: dict[tuple[int, str], int] = {}
    async for debit, credit, commodity, amount in await connection.execute(sql.READ_TOTALS, parameters):
        debits[debit, commodity] = debits.get((debit, commodity), 0) + int(amount)
        credited[credit, commodity] = credited.get((credit, commodity), 0) + int(amount)
    return sorted(
        AccountBalance(LedgerAccount(account), commodity, debits.get(key, 0), credited.get(key, 0))
        for key in debits.keys() | credited.keys()
        for account, commodity in [key]
    )


def trial_balance_csv(balances: Iterable[AccountBalance]) -> bytes:
    """Write a trial balance as CSV, always the same bytes for the same balances."""
    lines = ["account,name,commodity,debit,credit,balance"]
    for line in sorted(balances):
        amounts = ",".join(format_micros(amount) for amount in (line.debit, line.credit, line.balance))
        lines.append(f"{int(line.account)},{line.name},{line.commodity},{amounts}")
    return "".join(f"{line}\r\n" for line in lines).encode()
