"""A gateway that lists what it is told to, and books that differ from its list in ways that are known."""

import random
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import timedelta
from typing import Final

from ledger.rows import from_us
from tests.payments import NOW_US, PlainGateway
from workers.payments.context import PaymentContext
from workers.payments.facts import PaymentFact, RefundFact, SubscriptionFact
from workers.payments.gateway import UnknownObject
from workers.payments.reconciling.lines import Line
from workers.payments.reconciling.posting import Poster
from workers.payments.reconciling.reconciliation import Reconciliation, Window

GATEWAY: Final = "plain"
DAY_US: Final = 24 * 60 * 60 * 1_000_000
WINDOW: Final = Window(from_us(NOW_US) - timedelta(days=1), from_us(NOW_US) + timedelta(days=1))


class ListingGateway(PlainGateway):
    """Lists these facts, in an order of its own, and remembers what it was asked for."""

    def __init__(
        self,
        facts: Iterable[PaymentFact | RefundFact],
        *,
        subscriptions: Sequence[SubscriptionFact] = (),
        seed: int = 1,
    ) -> None:
        self.subscriptions: Final = {each.subscription_id: each for each in subscriptions}
        self.list: Final = list(facts)
        random.Random(seed).shuffle(self.list)
        self.asked: Final[list[tuple[int, int]]] = []

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """One of those it was given."""
        if subscription_id not in self.subscriptions:
            raise UnknownObject(self.name, f"no subscription {subscription_id}")
        return self.subscriptions[subscription_id]

    async def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Those in the window."""
        self.asked.append((since_us, until_us))
        for fact in self.list:
            if since_us <= fact.at_us < until_us:
                yield fact


async def reconciled(
    url: str, gateway: PlainGateway, *, window: Window = WINDOW, context: PaymentContext | None = None
) -> list[Line]:
    """All lines; with a context, after posting what is missing here."""
    if context is not None:
        context.gateways.put(gateway)
    post = None if context is None else Poster(context, gateway.name).post
    async with Reconciliation.opened(url, gateway.name, window) as reconciliation:
        await reconciliation.load(gateway, progress=lambda _: None)
        return [line async for line in reconciliation.lines(post=post)]


def differing(lines: Sequence[Line]) -> dict[str, str]:
    """What does not match in the end, by id, as `kind/detail`."""
    return {line.id: "/".join(line.stands) for line in lines if not line.is_matched}
