"""From an opening balance to a closing one: what became of every credit, and of the money it was paid with.

    opening + bought + granted - used - expired - refunded ± adjusted = closing

in credits, and the same for the contract liability in each currency, all from the journal. The closing balances are
those of the trial balance by double entry; that they are also those of the lots is checked lot by lot.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from projections.chart import CREDIT, LedgerAccount
from projections.projection import sql
from projections.trial_balance import Movement, read_movements

A = LedgerAccount

CREDIT_SOURCES: Final[Mapping[str, LedgerAccount]] = {
    "bought": A.credits_bought,
    "granted": A.credits_granted,
    "used": A.credits_used,
    "expired": A.credits_expired,
    "refunded": A.credits_refunded,
    "adjusted": A.credits_adjusted,
}

MONEY_SOURCES: Final[Mapping[str, frozenset[LedgerAccount]]] = {
    "bought": frozenset({A.payment_clearing}),
    "used": frozenset({A.usage}),
    "expired": frozenset({A.expired_liability, A.breakage}),
    "refunded": frozenset({A.refund_liability, A.refunds_paid}),
    "charged_back": frozenset({A.chargebacks_taken, A.chargeback_loss}),
    "adjusted": frozenset({A.write_off}),
}
"""What stands across from the contract liability."""


class Rollforward(msgspec.Struct, frozen=True):
    """How one commodity came from its opening balance to its closing one, in millionths; what went out is negative."""

    commodity: str
    opening: int
    movements: dict[str, int]
    closing: int

    @property
    def holds(self) -> bool:
        """Whether the movements lead from the one to the other."""
        return self.opening + sum(self.movements.values()) == self.closing


class LotTies(msgspec.Struct, frozen=True):
    """How the lots stand beside the accounts of the journal: how many there are, and how many disagree."""

    lots: int
    credits_differ: int
    money_differs: int

    @property
    def hold(self) -> bool:
        """Whether every lot agrees."""
        return not self.credits_differ and not self.money_differs


async def read_rollforwards(
    connection: AsyncConnection[Any], *, build: int, seq: int, first: date | None, through: date
) -> list[Rollforward]:
    """Roll credits and the contract liability of every currency forward, from the day `first` to the day `through`.

    Without `first`, from the beginning.
    """
    await connection.execute(sql.LIFT_TIME_LIMIT)
    opening: list[Movement] = []
    if first is not None:
        opening = await read_movements(connection, build=build, seq=seq, through=first - timedelta(days=1))
    closing = await read_movements(connection, build=build, seq=seq, through=through)
    commodities = sorted({movement.commodity for movement in closing} - {CREDIT})
    return [
        _credits(opening, closing),
        *(_money(opening, closing, commodity) for commodity in commodities if _carries(closing, commodity)),
    ]


async def read_lot_ties(connection: AsyncConnection[Any], *, build: int, seq: int) -> LotTies:
    """Compare every lot with the lines of the journal that name it, of the first `seq` events."""
    await connection.execute(sql.LIFT_TIME_LIMIT)
    row = await (await connection.execute(sql.READ_LOT_TIES, {"build": build, "seq": seq})).fetchone()
    assert row is not None, "an aggregate has a row"
    return LotTies(*row)


def _credits(opening: Iterable[Movement], closing: Iterable[Movement]) -> Rollforward:
    """Held less owed: what customers have, as the ledger's `available + frozen` counts it."""
    before, after = _into_customers(opening), _into_customers(closing)
    return Rollforward(
        commodity=CREDIT,
        opening=sum(before.values()),
        movements={name: after.get(account, 0) - before.get(account, 0) for name, account in CREDIT_SOURCES.items()},
        closing=sum(after.values()),
    )


def _into_customers(movements: Iterable[Movement]) -> dict[LedgerAccount, int]:
    """What came to customers from each account, less what went back; between held and owed nothing comes or goes.

    What is refunded of credits that had expired goes from one of these accounts to another: less expired, more
    refunded.
    """
    customers = {A.credits_held, A.credits_owed}
    came: dict[LedgerAccount, int] = {}
    for movement in movements:
        if movement.commodity != CREDIT or {movement.debit, movement.credit} <= customers:
            continue
        for account, amount in ((movement.debit, movement.amount), (movement.credit, -movement.amount)):
            if account not in customers:
                came[account] = came.get(account, 0) + amount
    return came


def _carries(movements: Iterable[Movement], commodity: str) -> bool:
    return any(A.contract_liability in movement.accounts for movement in movements if movement.commodity == commodity)


def _money(opening: Iterable[Movement], closing: Iterable[Movement], commodity: str) -> Rollforward:
    before, after = _into_contract(opening, commodity), _into_contract(closing, commodity)
    movements = {
        name: sum(after.get(account, 0) - before.get(account, 0) for account in accounts)
        for name, accounts in MONEY_SOURCES.items()
    }
    return Rollforward(commodity, sum(before.values()), movements, sum(after.values()))


def _into_contract(movements: Iterable[Movement], commodity: str) -> dict[LedgerAccount, int]:
    """What came to the contract liability from each account, less what went back."""
    came: dict[LedgerAccount, int] = {}
    for movement in movements:
        if movement.commodity != commodity:
            continue
        if movement.credit == A.contract_liability:
            came[movement.debit] = came.get(movement.debit, 0) + movement.amount
        elif movement.debit == A.contract_liability:
            came[movement.credit] = came.get(movement.credit, 0) - movement.amount
    return came
