"""What settling payments works with; one per process, made by whoever serves requests or runs work."""

from typing import NamedTuple

from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.payments.gateways.registry import Gateways


class PaymentContext(NamedTuple):
    """The parts of a process that payments need."""

    database: Database
    writer: LedgerWriter
    gateways: Gateways
