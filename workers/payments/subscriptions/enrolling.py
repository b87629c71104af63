"""Who is given free credits each day: the statement that goes with whatever makes somebody one of them."""

from uuid import UUID

from ledger.batch import Statement
from workers.payments.subscriptions.rows import sql


def enrol(account_id: UUID) -> Statement:
    """Return the statement that has the clock look at an account's free credits of the day."""
    return sql.ENROL_DAILY_CREDITS, {"account_id": account_id}
