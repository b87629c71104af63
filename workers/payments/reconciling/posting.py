"""Posting what a gateway has and we have not, through the very code that its webhooks go through."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ledger.errors import LedgerError
from workers.payments.context import PaymentContext
from workers.payments.facts import NotYet
from workers.payments.reconciling.listing import Listed
from workers.payments.settling import settle
from workers.payments.taking_back import Unsettleable

AT_ONCE: Final = 16


class Poster:
    """Posts for one gateway. Command keys come from its ids: again, or beside a webhook, it changes nothing."""

    def __init__(self, context: PaymentContext, gateway: str) -> None:
        self._context = context
        self._gateway = gateway
        self._places = asyncio.Semaphore(AT_ONCE)

    async def post(self, facts: Sequence[Listed]) -> list[str]:
        """Settle each, some at once, and return for each why that could not be done, or nothing.

        Raises:
            psycopg.Error: the database is away. What was posted until then stays.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._settle(fact)) for fact in facts]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _settle(self, fact: Listed) -> str:
        async with self._places:
            try:
                await settle(self._context, self._gateway, fact)
            except (NotYet, Unsettleable, LedgerError) as error:
                return str(error)
        return ""
