"""A shop that sells through Paddle, or through the fake of it: what the tests of this gateway begin with."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar
from uuid import UUID, uuid4

from tests.fakes.paddle_server import API_KEY, FakePaddle
from tests.fakes.paddle_webhooks import Webhook
from workers.payments.facts import Fact
from workers.payments.gateway import Purchase
from workers.payments.gateways.paddle.api import PaddleApi
from workers.payments.gateways.paddle.gateway import PaddleGateway
from workers.payments.gateways.paddle.signatures import PaddleSignatures
from workers.payments.money import Money

BEGIN = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TEN_DOLLARS = Money(1_000, "USD")
ACCOUNT = UUID("01980000-0000-7000-8000-000000000001")

F = TypeVar("F", bound=Fact)


def purchase(
    price: Money = TEN_DOLLARS,
    *,
    months: int = 0,
    price_key: str = "",
    order_id: UUID | None = None,
    account_id: UUID = ACCOUNT,
    tax_inclusive: bool = True,
    title: str = "1,000 credits",
) -> Purchase:
    """Something that somebody wants to buy: a pack, unless it has months."""
    return Purchase(
        order_id=order_id or uuid4(),
        account_id=account_id,
        title=title,
        price=price,
        tax_inclusive=tax_inclusive,
        return_url="https://app.example/paid?x=1",
        language="de",
        price_key=price_key or ("pro:1:us" if months else ""),
        months=months,
    )


class Shop:
    """Paddle, our end of it, and one clock for both. Nothing ever waits: pauses are written down."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.pauses: list[float] = []
        self.paddle = FakePaddle()
        self.paddle.clock = lambda: self.now

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self.paddle)
        self.gateway = self.another_gateway()
        self._stack.push_async_callback(self.gateway.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def another_gateway(self, *, key: str = API_KEY, url: str | None = None) -> PaddleGateway:
        """One with other settings, to be closed by who asks for it."""
        return PaddleGateway(
            api=PaddleApi(base_url=url or self.paddle.url, key=key, pause=self._pause),
            signatures=PaddleSignatures([self.paddle.webhook_secret]),
            tax_category="saas",
            clock_us=lambda: us(self.now),
        )

    def later(self, **after: float) -> None:
        """Let time go by."""
        self.now += timedelta(**after)

    async def start(self, wanted: Purchase) -> str:
        """Go to the checkout, and return the transaction."""
        return (await self.gateway.start_purchase(wanted)).gateway_id

    async def sell(self, wanted: Purchase, *, email: str = "sam@example.com") -> str:
        """Sell something, and return the transaction."""
        transaction_id = await self.start(wanted)
        self.paddle.pay(transaction_id, email=email)
        return transaction_id

    async def subscribe(self, wanted: Purchase, *, email: str = "sam@example.com") -> str:
        """Sell a plan, and return the subscription."""
        return self.paddle.transactions[await self.sell(wanted, email=email)]["subscription_id"]

    async def facts(self, *webhooks: Webhook) -> list[Fact]:
        """What webhooks say that are genuine now."""
        found: list[Fact] = []
        for webhook in webhooks:
            event = await self.gateway.verify(
                webhook.headers, webhook.body, remote_address="192.0.2.1", now_s=self.now.timestamp()
            )
            found += await self.gateway.facts(event.kind, webhook.headers, webhook.body)
        return found

    async def last(self, kind: type[F], *webhooks: Webhook) -> F:
        """The last fact of a kind that webhooks say."""
        return [fact for fact in await self.facts(*webhooks) if isinstance(fact, kind)][-1]

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def us(moment: datetime) -> int:
    """A time as facts have it."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def of_kind(kind: str, webhooks: list[Webhook]) -> Webhook:
    """The first webhook of a kind."""
    return next(webhook for webhook in webhooks if webhook.kind == kind)
