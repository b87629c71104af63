"""Plans over our API, at the gateways' own servers: bought, renewed, changed, cancelled and resumed."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from ledger.account import Account
from tests.api_in_process import Api
from tests.customers import Customer
from tests.payments import CREDIT
from tests.tills import Delivery, PaddleTill, StripeTill, Till, YooKassaTill, deliveries
from workers.payments.subscriptions.renewing import Renewals

PLUS, PRO = 2_000, 10_000
MONTH_US = 32 * 86_400 * 1_000_000

pytestmark = pytest.mark.parametrize("till", ["stripe", "paddle", "yookassa"], indirect=True)


class Subscriber(Customer):
    """A customer with a plan."""

    async def subscribe(self) -> None:
        _, gateway_id = await self.order(plan="plus")
        await self.hear(self.till.pay(gateway_id))

    async def hear(self, sent: Iterable[Delivery]) -> None:
        """Deliver all of it three times at once, and process it until nothing is put off."""
        assert set(await self.deliver(sent, times=3)) <= {200}
        await self.settle()
        assert self.rows("SELECT kind, last_error FROM payment_inbox WHERE state <> 1") == []

    async def renew(self) -> None:
        """Let a period end and the next one be paid, as the gateway does it, or we."""
        match self.till:
            case StripeTill() | PaddleTill():
                await self.hear(deliveries(self.till.server.renew(self.subscription_id)))
            case _:
                await self.tick()

    async def tick(self) -> None:
        """Let our clock see to it, a month on."""
        later_us = time.time_ns() // 1_000 + MONTH_US
        assert await Renewals({}, clock_us=lambda: later_us).run(self.context) == 1

    async def ask(self, method: str, path: str = "", *, status: int = 200, **body: object) -> dict[str, Any]:
        options: dict[str, Any] = {"json": body} if body else {}
        path = f"/v1/me/subscription{path}"
        answer = await self.api.client.request(method, path, headers=self.headers, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    @property
    def subscription_id(self) -> str:
        (row,) = self.rows("SELECT subscription_id FROM subscriptions")
        return row[0]

    def account(self) -> Account:
        assert self.rows("SELECT detail FROM payment_mismatches WHERE resolved_at IS NULL") == []
        return super().account()

    def bought(self) -> int:
        return self.account().credited // CREDIT


@pytest.fixture
async def subscriber(till_api: Api, till: Till, database_url: str) -> AsyncIterator[Subscriber]:
    async with Subscriber.new(till_api, till, database_url) as subscriber:
        await subscriber.subscribe()
        yield subscriber


async def test_a_plan_is_credited_with_each_period_that_is_paid(subscriber: Subscriber) -> None:
    first = await subscriber.ask("GET")
    await subscriber.renew()
    second = await subscriber.ask("GET")

    assert subscriber.bought() == 2 * PLUS
    assert (first["plan"], first["status"], first["gateway"]) == ("plus", "active", subscriber.till.name)
    assert first["credits_per_period"] == "2000"
    assert first["price"]["currency"] == subscriber.till.currency
    assert second["period_begins_at"] == first["period_ends_at"]
    # What was left of the first period was cut to the cap of the plan.
    assert subscriber.account().available == (PLUS + 1_000) * CREDIT


async def test_a_plan_is_cancelled_resumed_and_cancelled_for_good(subscriber: Subscriber) -> None:
    cancelled = await subscriber.ask("POST", "/cancel")
    resumed = await subscriber.ask("POST", "/resume")
    await subscriber.ask("POST", "/cancel")
    match subscriber.till:
        case StripeTill():
            await subscriber.hear(deliveries(subscriber.till.server.reach_period_end(subscriber.subscription_id)))
        case PaddleTill():
            await subscriber.hear(deliveries(subscriber.till.server.end(subscriber.subscription_id)))
        case _:
            await subscriber.tick()
    ended = await subscriber.ask("GET")

    assert [answer["ends_at_period_end"] for answer in (cancelled, resumed)] == [True, False]
    assert (cancelled["status"], ended["status"]) == ("active", "ended")
    assert subscriber.bought() == PLUS
    for path in ("/cancel", "/resume"):
        assert (await subscriber.ask("POST", path, status=409))["code"] == "subscription_ended"


async def test_another_plan_begins_with_the_next_period(
    subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The month passes at Paddle only, where for us the change was a moment ago, and may have to be finished.
    def is_fresh(changed: object, *, now: object) -> bool:
        return False

    monkeypatch.setattr("workers.payments.gateways.paddle.subscriptions.is_fresh", is_fresh)

    changed = await subscriber.ask("POST", "/change", plan="pro")
    assert subscriber.bought() == PLUS
    await subscriber.renew()
    renewed = await subscriber.ask("GET")

    assert (changed["plan"], changed["next_plan"]) == ("plus", "pro")
    assert (renewed["plan"], renewed["next_plan"]) == ("pro", None)
    assert subscriber.bought() == PLUS + PRO
    assert (await subscriber.ask("POST", "/change", status=409, plan="pro"))["code"] == "plan_unchanged"
    assert [row[0] for row in subscriber.rows("SELECT kind FROM messages WHERE kind = 'plan_changed'")] == [
        "plan_changed"
    ]


async def test_another_plan_at_once_is_credited_when_it_is_paid(subscriber: Subscriber) -> None:
    await subscriber.ask("POST", "/change", plan="pro", at_once=True)
    await subscriber.hear(waiting(subscriber.till))
    changed = await subscriber.ask("GET")

    assert (changed["plan"], changed["next_plan"]) == ("pro", None)
    # Nothing is taken away, and the plan gives something for moving to it.
    assert subscriber.bought() == PLUS + PRO + 500


async def test_the_pages_of_the_gateway_are_shown_where_it_has_some(subscriber: Subscriber) -> None:
    has_pages = subscriber.till.name != "yookassa"

    answer = await subscriber.ask(
        "POST", "/portal", status=200 if has_pages else 422, return_url="https://shop.example/account"
    )

    assert ("url" in answer) is has_pages
    assert answer.get("code") == (None if has_pages else "gateway_refused")


async def test_a_plan_is_shown_to_its_owner_and_to_those_who_may_read_accounts(subscriber: Subscriber) -> None:
    path = f"/v1/accounts/{subscriber.account_id}/subscription"
    stranger, _ = await subscriber.api.user()

    assert (await subscriber.api.get(path)).json()["plan"] == "plus"
    assert (await subscriber.api.get(path, headers=stranger)).status_code == 403
    none = await subscriber.api.get("/v1/me/subscription", headers=stranger)
    assert (none.status_code, none.json()["code"]) == (404, "subscription_not_found")
    cancelled = await subscriber.api.post(f"{path}/cancel", key="once")
    again = await subscriber.api.post(f"{path}/cancel", key="once")
    assert (cancelled.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")


def waiting(till: Till) -> list[Delivery]:
    """What the gateway has to say that nobody has heard."""
    take: Callable[[], Iterable[Any]]
    match till:
        case StripeTill():
            take = till.server.take_webhooks
        case PaddleTill():
            take = till.server.take
        case YooKassaTill():
            return []
        case _:
            raise AssertionError(till)
    return deliveries(take())
