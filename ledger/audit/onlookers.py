"""Who looks on while accounts are replayed: what else was made of the events need not replay them once more."""

from typing import Protocol
from uuid import UUID

from ledger.account import Account
from ledger.audit.findings import Findings
from ledger.events import Body, Event


class Onlooker(Protocol):
    """Compares something with the events, account by account, in the order in which they are replayed."""

    findings: Findings

    def saw(self, event: Event, body: Body, seq: int | None, account: Account) -> None:
        """Be shown one event, and the account after it."""

    async def catch_up(self) -> None:
        """Compare what has gathered: called now and then, so that memory stays bounded."""

    async def closed(self, account_id: UUID, *, is_broken: bool) -> None:
        """Be told that these were all events of an account, or all up to one that does not follow from those before."""

    async def finish(self) -> None:
        """Be told that there are no more accounts in the range."""
