"""Posting what a gateway has and we have not, through the very code that its webhooks go through."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ledger.errors import LedgerError
from workers.payments.context import PaymentContext
from workers.payments.facts import NotYet, RefundFact
from workers.payments.gateway import GatewayError
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
        """Settle each, and return for each why that could not be done, or nothing.

        Those of one customer go one after another, in the order given: what a plan's period carries over depends on
        the one before.

        Raises:
            psycopg.Error: the database is away. What was posted until then stays.
        """
        groups: dict[object, list[int]] = {}
        for number, fact in enumerate(facts):
            groups.setdefault(_customer(fact), []).append(number)
        problems = [""] * len(facts)

        async def settle_group(numbers: list[int]) -> None:
            async with self._places:
                for number in numbers:
                    problems[number] = await self._settle(facts[number])

        try:
            async with asyncio.TaskGroup() as tasks:
                for numbers in groups.values():
                    tasks.create_task(settle_group(numbers))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return problems

    async def _settle(self, fact: Listed) -> str:
        try:
            try:
                await settle(self._context, self._gateway, fact)
            except NotYet:
                if isinstance(fact, RefundFact) or fact.subscription_id is None:
                    raise
                # Its webhooks would have told of the subscription first.
                gateway = self._context.gateways.get(self._gateway)
                await settle(self._context, self._gateway, await gateway.subscription(fact.subscription_id))
                await settle(self._context, self._gateway, fact)
        except (NotYet, Unsettleable, LedgerError, GatewayError) as error:
            return str(error)
        return ""


def _customer(fact: Listed) -> object:
    if isinstance(fact, RefundFact):
        return fact.payment_id
    return fact.subscription_id or fact.account_id or fact.payment_id
