"""Customers who buy at our API and pay at a gateway's own server, for tests of both together."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Self
from uuid import UUID

import httpx
import psycopg

from ledger.account import Account
from tests.api_in_process import Api
from tests.ledger_state import check_everything
from tests.tills import Delivery, Till
from workers.payments.context import PaymentContext
from workers.payments.processing import InboxProcessor


def wish(till: Till, **fields: Any) -> dict[str, Any]:
    """What a customer asks of our API: the starter pack, unless the fields say otherwise."""
    body = {"gateway": till.name, "currency": till.currency, "return_url": "https://shop.example/thanks"}
    return {**body, **(fields or {"pack": "starter"})}


class Customer:
    """Somebody with an account at our API who pays through a gateway, and the gateway's door to it."""

    def __init__(self, api: Api, till: Till, url: str) -> None:
        self.api, self.till, self.url = api, till, url
        services = api.application.routed.services
        self.context = PaymentContext(services.database, services.writer, services.gateways)
        transport = httpx.ASGITransport(api.application, client=(till.sends_from, 443))  # pyright: ignore[reportArgumentType] - an ASGI application
        self.door = httpx.AsyncClient(transport=transport, base_url="http://api")
        self.headers: dict[str, str] = {}
        self.account_id = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def new(cls, api: Api, till: Till, url: str) -> AsyncGenerator[Self]:
        """Let one come who has nothing yet."""
        customer = cls(api, till, url)
        customer.headers, customer.account_id = await api.user(await api.account(None))
        async with customer.door:
            yield customer

    async def order(self, **fields: Any) -> tuple[str, str]:
        """Order what is wished; return our id of the order, and the gateway's of what is to be paid."""
        answer = await self.api.client.post("/v1/checkouts", json=wish(self.till, **fields), headers=self.headers)
        assert answer.status_code == 201, answer.text
        order_id = answer.json()["id"]
        (row,) = self.rows("SELECT gateway_id FROM payment_orders WHERE id = %s", order_id)
        return order_id, row[0]

    async def deliver(self, deliveries: Iterable[Delivery], *, times: int = 1) -> list[int]:
        """Deliver all of them at once, so many times each."""
        path = f"/webhooks/{self.till.name}"
        answers = await asyncio.gather(
            *(
                self.door.post(path, content=delivery.body, headers=delivery.headers)
                for delivery in deliveries
                for _ in range(times)
            )
        )
        return [answer.status_code for answer in answers]

    async def settle(self) -> None:
        """Process all that was delivered; what was put off is due at once."""
        for _ in range(4):
            self.rows("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0 RETURNING id")
            await asyncio.gather(*(InboxProcessor(self.context).work() for _ in range(2)))

    def account(self) -> Account:
        """What the ledger says; everything about it is checked too."""
        (account,) = [found for found in check_everything(self.url) if found.id == UUID(self.account_id)]
        return account

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement, parameters).fetchall()  # pyright: ignore[reportArgumentType] - a test's own SQL
