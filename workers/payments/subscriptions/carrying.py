"""What goes with a payment for a period: what of earlier ones is cut before it, and what a change of plan brings."""

from typing import Final
from uuid import UUID

from ledger.commands import OWN_KEY_PREFIX, Command, ExpireLot, Grant
from ledger.database import Database
from ledger.rows import from_us
from workers.payments.catalogue import PlanDefinition
from workers.payments.facts import Period
from workers.payments.subscriptions.periods import lot_expiry_us
from workers.payments.subscriptions.rows import sql

EARLIER_PERIODS: Final = 50
ACTOR: Final = "holdfast"


async def lots_over_cap(
    database: Database, gateway: str, payment_id: str, subscription_id: str, *, account_id: UUID, begins_us: int
) -> tuple[Command, ...]:
    """Return the commands that let expire what earlier periods have left beyond the caps of their plans.

    Each lot is cut once, by the first payment for a period that begins when the lot's own is over. So a change of plan
    in the middle of a period takes nothing away.
    """
    parameters = {
        "gateway": gateway,
        "payment_id": payment_id,
        "subscription_id": subscription_id,
        "begins_at": from_us(begins_us),
        "limit": EARLIER_PERIODS,
    }
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.READ_LOTS_OVER_CAP, parameters)).fetchall()
    return tuple(
        ExpireLot(
            account_id=account_id,
            command_key=f"{OWN_KEY_PREFIX}rollover:{number}",
            actor=ACTOR,
            lot_number=number,
            keep_microcredits=cap,
        )
        for number, cap in rows
    )


def change_grant(
    gateway: str, payment_id: str, definition: PlanDefinition, period: Period, *, account_id: UUID
) -> tuple[Command, ...]:
    """Return the command that gives what a plan gives to those who move to it at once; none where that is nothing."""
    if not definition.change_grant_microcredits:
        return ()
    grant = Grant(
        account_id=account_id,
        command_key=f"{OWN_KEY_PREFIX}plan-change:{gateway}:{payment_id}",
        actor=ACTOR,
        amount_microcredits=definition.change_grant_microcredits,
        reason=f"change to plan {definition.name}",
        expires_at_us=lot_expiry_us(
            period, months=definition.months, rolls_over=definition.rollover_cap_microcredits > 0
        ),
    )
    return (grant,)
