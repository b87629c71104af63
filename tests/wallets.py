"""A customer whose card is kept at a fake Stripe, and whose account tops itself up, for tests of that."""

import contextlib
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final
from uuid import uuid4

import msgspec
import psycopg

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account
from tests.fakes.stripe_books import Thing, Webhook
from tests.fakes.stripe_server import FakeStripe
from tests.payments import CREDIT, place_order
from workers.payments.auto_top_up.topping_up import top_up_accounts
from workers.payments.auto_top_up.wishes import AutoTopUpWish, ShownAutoTopUp, set_auto_top_up, show_auto_top_up
from workers.payments.catalogue import PACK, REGION, PackRequest, RegionRequest, define_version
from workers.payments.context import PaymentContext
from workers.payments.gateway import Purchase
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money
from workers.payments.settling import settle

US: Final = "us"
BOUGHT: Final = 1_000 * CREDIT
"""What the first pack brings, that the card is kept with."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def pass_hours(self, hours: float) -> None:
        self.now_us += round(hours * 3_600 * 1_000_000)


async def offer_packs(database: Database) -> None:
    """Offer `small`, 100 credits for two dollars, and `large`, 1,000 for ten; and `yen`, in Japan only."""
    await define_version(database, REGION, US, RegionRequest(currency="USD", tax_inclusive=True), changed_by="test")
    await define_version(database, REGION, "jp", RegionRequest(currency="JPY", tax_inclusive=True), changed_by="test")
    packs = {"small": ("100", {US: "2.00", "jp": "300"}), "large": ("1000", {US: "10.00"})}
    for name, (amount, prices) in packs.items():
        given: dict[str, Any] = {"titles": {"en": name.title()}, "credits": amount, "prices": prices}
        await define_version(database, PACK, name, msgspec.convert(given, PackRequest), changed_by="test")


class Wallet:
    """One account, its card, and what it buys by itself."""

    def __init__(self, context: PaymentContext, stripe: FakeStripe, url: str, clock: Clock) -> None:
        self.context = context
        self.stripe = stripe
        self.url = url
        self.clock = clock
        self.account_id = uuid4()

    async def open(self) -> None:
        """Open the account and buy a pack with a card that is kept."""
        await self.context.writer.submit(open_account(self.account_id))
        order_id = place_order(self.url, self.account_id, gateway="stripe", region=US)
        purchase = Purchase(
            order_id=order_id,
            account_id=self.account_id,
            title="1,000 credits",
            price=Money(1_000, "USD"),
            return_url="https://shop.example/done",
            save_method=True,
        )
        started = await self.context.gateways.get("stripe").start_purchase(purchase)
        await self.hear(self.stripe.pay(started.gateway_id))

    async def hear(self, webhooks: Iterable[Webhook]) -> None:
        """Settle what Stripe says."""
        gateway = self.context.gateways.get("stripe")
        for headers, body in webhooks:
            event = await gateway.verify(headers, body, remote_address="203.0.113.1", now_s=time.time())
            for fact in await gateway.facts(event.kind, headers, body):
                await settle(self.context, "stripe", fact)

    async def wish(self, **fields: Any) -> None:
        """Buy `small` below 50 credits, for a hundred dollars a month at most, unless the fields say otherwise."""
        given: dict[str, Any] = {
            "account_id": self.account_id,
            "threshold_microcredits": 50 * CREDIT,
            "pack": "small",
            "target_microcredits": None,
            "gateway": "stripe",
            "monthly_cap": Money(10_000, "USD"),
            **fields,
        }
        await set_auto_top_up(
            self.context.database, self.context.gateways, AutoTopUpWish(**given), now_us=self.clock.now_us
        )

    async def spend(self, amount: int) -> None:
        """Spend so many credits."""
        await self.context.writer.submit(charge(amount * CREDIT, self.account_id))

    async def spend_all(self) -> None:
        """Spend whatever is there."""
        await self.context.writer.submit(charge(2**50, self.account_id, at_most=True))

    async def tick(self) -> int:
        """The clock looks once."""
        return await top_up_accounts(self.context, clock_us=self.clock)

    async def shown(self) -> ShownAutoTopUp:
        """The automatic top-up, as its owner sees it."""
        return await show_auto_top_up(self.context.database, self.account_id, now_us=self.clock.now_us)

    @property
    def card(self) -> str:
        """The id of the card."""
        return next(each["id"] for each in self.stripe.methods() if each["customer"] is not None)

    def charges(self) -> list[Thing]:
        """What the card was really charged for, without the first pack."""
        return [each for each in self.stripe.all("charge") if each["paid"]][1:]

    def attempts(self) -> list[tuple[int, int]]:
        """Number and outcome of each attempt."""
        return self.rows(
            "SELECT number, outcome FROM auto_top_up_attempts WHERE account_id = %s ORDER BY number", self.account_id
        )

    def messages(self) -> list[str]:
        """The kinds of the messages, receipts left out."""
        return [row[0] for row in self.rows("SELECT kind FROM messages WHERE kind <> 'receipt' ORDER BY created_at")]

    def available(self) -> int:
        """What can be spent, in whole credits."""
        return self.rows("SELECT available FROM accounts WHERE id = %s", self.account_id)[0][0] // CREDIT

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """What the database says."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), parameters or None).fetchall()


@contextlib.asynccontextmanager
async def open_wallet(
    database: Database, writer: LedgerWriter, url: str, *, now_us: int = 1_790_000_000_000_000, **environment: str
) -> AsyncGenerator[Wallet]:
    """A wallet with 1,000 credits that were bought, at a Stripe of its own."""
    await offer_packs(database)
    async with FakeStripe() as stripe:
        gateways = Gateways({**stripe.environment, **environment})
        wallet = Wallet(PaymentContext(database, writer, gateways), stripe, url, Clock(now_us))
        try:
            await wallet.open()
            yield wallet
        finally:
            await gateways.aclose()
