"""Webhooks of gateways: kept before they are answered, processed once, tried again, and in the end left visibly."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
import redis

from tests.api_in_process import Api, api_in_process
from tests.ledger_state import check_everything
from tests.payments import CREDIT, PlainGateway, paid, place_order, refund_of, webhook_of
from tests.waiting import eventually
from workers.payments import inbox, processing, waking
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact
from workers.payments.gateway import GatewayError, WebhookEvent
from workers.payments.gateways import registry
from workers.payments.gateways.registry import GatewayFactory
from workers.payments.orders import sql
from workers.payments.processing import TRIES, InboxProcessor
from workers.settings import SettingsError, broker_url_beside

GENUINE = {"plain-signature": "genuine", "plain-id": "evt_1"}


@pytest.fixture
async def api(database_url: str, redis_url: str) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url) as api:
        del api.client.headers["Authorization"]
        api.application.routed.services.gateways.put(PlainGateway())
        yield api


def states(url: str) -> list[tuple[int, int, str | None]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT state, tries, last_error FROM payment_inbox ORDER BY id").fetchall()


def time_passes(url: str) -> None:
    """Whatever waits is due."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0")


async def kept(context: PaymentContext, *facts: Fact, event_id: str = "evt_1", gateway: str = "plain") -> None:
    event = WebhookEvent(event_id=event_id, kind="facts", object_id="object")
    await inbox.keep(context.database, gateway, event, headers={}, body=webhook_of(*facts), request_id="request")


def available(url: str) -> int:
    (account,) = check_everything(url)
    return account.available


async def test_an_api_begins_with_its_gateways_made_or_not_at_all(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def factory_named(name: str) -> GatewayFactory:
        def make(environment: Mapping[str, str]) -> PlainGateway:
            if environment["STRIPE_API_KEY"] == "wrong":
                raise SettingsError("STRIPE_API_KEY makes no sense")
            made.append(name)
            return PlainGateway()

        return GatewayFactory(name=name, required=(f"{name.upper()}_API_KEY",), make=make)

    monkeypatch.setattr(registry, "factory_named", factory_named)

    async with api_in_process(database_url, redis_url, STRIPE_API_KEY="key"):
        assert made == ["stripe"]
    with pytest.raises(SettingsError, match="STRIPE_API_KEY"):
        async with api_in_process(database_url, redis_url, STRIPE_API_KEY="wrong"):
            pass


async def test_a_webhook_five_times_at_once_is_kept_once_and_answered_five_times(
    api: Api, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    body = webhook_of(paid(place_order(database_url, account_id)))
    answers = await asyncio.gather(
        *(api.client.post("/webhooks/plain", content=body, headers=GENUINE) for _ in range(5))
    )
    assert [answer.status_code for answer in answers] == [200] * 5
    assert states(database_url) == [(0, 0, None)]
    await asyncio.gather(*(InboxProcessor(context).work() for _ in range(3)))
    assert available(database_url) == 1_000 * CREDIT
    assert states(database_url) == [(1, 1, None)]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/webhooks/plain", {**GENUINE, "plain-signature": "forged"}, 400),
        ("/webhooks/plain", {}, 400),
        ("/webhooks/stripe", GENUINE, 404),
        ("/webhooks/nobody", GENUINE, 404),
    ],
)
async def test_what_is_not_genuine_is_not_kept(
    api: Api, database_url: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await api.client.post(path, content=b"[]", headers=headers)
    assert answer.status_code == status
    assert states(database_url) == []


async def test_credentials_in_headers_are_not_kept(api: Api, database_url: str) -> None:
    headers = {**GENUINE, "Authorization": "Bearer secret", "Cookie": "secret"}
    assert (await api.client.post("/webhooks/plain", content=b"[]", headers=headers)).status_code == 200
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT headers::text FROM payment_inbox").fetchone()
    assert row is not None
    assert "secret" not in row[0]


async def test_a_webhook_before_the_order_is_processed_once_it_is_there(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = uuid4()
    await kept(context, paid(order_id))
    await InboxProcessor(context).work()
    ((state, tries, error),) = states(database_url)
    assert (state, tries) == (0, 1)
    assert error is not None
    assert "NotYet" in error
    place_order(database_url, account_id, id=order_id)
    time_passes(database_url)
    await InboxProcessor(context).work()
    assert available(database_url) == 1_000 * CREDIT


class FailingGateway(PlainGateway):
    """Fails until it is told not to."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        if self.error is not None:
            raise self.error
        return await super().facts(kind, headers, body)


@pytest.mark.parametrize(
    "error",
    [
        GatewayError("plain", "down", retryable=True),
        TimeoutError(),
        ValueError("a bug"),
        ValueError("text that Postgres cannot keep: \x00 \ud800"),
    ],
    ids=["retryable", "time-out", "bug", "unstorable"],
)
async def test_what_fails_is_tried_again_and_in_the_end_left_visibly(
    context: PaymentContext, account_id: UUID, database_url: str, error: Exception
) -> None:
    gateway = FailingGateway(error)
    context.gateways.put(gateway)
    await kept(context, paid(place_order(database_url, account_id)))
    for _ in range(TRIES + 2):
        await InboxProcessor(context).work()
        time_passes(database_url)
    ((state, tries, last_error),) = states(database_url)
    assert (state, tries) == (2, TRIES)
    assert last_error is not None
    assert type(error).__name__ in last_error
    assert available(database_url) == 0


async def test_what_can_never_succeed_is_left_at_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    context.gateways.put(FailingGateway(GatewayError("plain", "no such object", retryable=False)))
    await kept(context, paid(place_order(database_url, account_id)))
    await InboxProcessor(context).work()
    assert [row[:2] for row in states(database_url)] == [(2, 1)]


class SilentGateway(PlainGateway):
    """Says nothing until it is told to."""

    name = "silent"

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked = 0
        self.most_asked = 0

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        self.asked += 1
        self.most_asked = max(self.most_asked, self.asked)
        await self.may_answer.wait()
        self.asked -= 1
        return []


@pytest.mark.parametrize("silent", [1, 3 * processing.AT_ONCE])
async def test_a_gateway_that_does_not_answer_holds_up_no_other(
    context: PaymentContext, account_id: UUID, database_url: str, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    monkeypatch.setattr(processing, "SLOW_S", 0.1)
    gateway = SilentGateway()
    context.gateways.put(gateway)
    for number in range(silent):
        await kept(context, gateway="silent", event_id=f"evt_{number}")
    processor = InboxProcessor(context)
    working = asyncio.create_task(processor.work())
    await eventually(lambda: states(database_url)[0][:2] == (0, 1))

    await kept(context, paid(place_order(database_url, account_id)), event_id="other")
    assert await processor.work() == 0

    await eventually(lambda: states(database_url)[-1][0] == 1)
    gateway.may_answer.set()
    assert await working == silent + 1
    assert states(database_url) == [(1, 1, None)] * (silent + 1)


async def test_what_waits_for_its_gateway_is_bounded(
    context: PaymentContext, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever is asked is slow at once: all of a batch make room, so that the next one is whole.
    monkeypatch.setattr(processing, "SLOW_S", 0)
    monkeypatch.setattr(processing, "AT_MOST", 2 * processing.AT_ONCE)
    gateway = SilentGateway()
    context.gateways.put(gateway)
    for number in range(3 * processing.AT_ONCE):
        await kept(context, gateway="silent", event_id=f"evt_{number}")
    working = asyncio.create_task(InboxProcessor(context).work())
    await eventually(lambda: gateway.asked >= processing.AT_MOST)
    gateway.may_answer.set()

    assert await working == 3 * processing.AT_ONCE
    assert gateway.most_asked == processing.AT_MOST


async def test_one_that_fails_holds_up_no_other(context: PaymentContext, account_id: UUID, database_url: str) -> None:
    await kept(context, paid(uuid4()), event_id="lost")
    payment = paid(place_order(database_url, account_id))
    for number in range(100):
        await kept(context, payment, refund_of(payment, 1, refund_id=f"re_{number % 10}"), event_id=f"evt_{number}")
    await InboxProcessor(context).work()
    assert sorted(row[0] for row in states(database_url)) == [0, *[1] * 100]
    assert available(database_url) == 990 * CREDIT


async def test_a_wake_up_while_it_works_is_not_lost(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    processor = InboxProcessor(context)
    await kept(context, paid(place_order(database_url, account_id)), event_id="first")
    working = asyncio.create_task(processor.work())
    await kept(context, paid(place_order(database_url, account_id)), event_id="second")
    assert await processor.work() + await working == 2
    assert {row[0] for row in states(database_url)} == {1}


async def test_a_webhook_is_left_to_whoever_has_taken_it(context: PaymentContext, database_url: str) -> None:
    await kept(context)
    assert len(await inbox.claim_due(context.database, limit=10)) == 1
    assert await inbox.claim_due(context.database, limit=10) == []
    time_passes(database_url)
    assert len(await inbox.claim_due(context.database, limit=10)) == 1


@pytest.mark.parametrize("statement", [sql.CLAIM_INBOX, sql.COUNT_DUE])
def test_looking_for_what_is_due_passes_over_nothing_that_waits(database_url: str, statement: LiteralString) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            INSERT INTO payment_inbox (gateway, event_id, kind, object_id, request_id, headers, body, due_at)
            SELECT 'plain', 'evt_' || number, 'facts', 'object', 'request', '{}', '', now() + interval '1 hour'
            FROM generate_series(1, 2000) AS number
            """
        )
        connection.execute("ANALYZE payment_inbox")
        plan = connection.execute("EXPLAIN (ANALYZE) " + statement, {"lease": "20 s", "limit": 32}).fetchall()
    assert not [line for (line,) in plan if "Rows Removed by Filter" in line]


def test_a_webhook_is_tried_for_about_half_an_hour() -> None:
    pauses = [processing.pause_s(tries, chance) for tries in range(1, TRIES) for chance in (0.0, 1.0)]
    assert 15 * 60 < sum(pauses[::2]) < 30 * 60 < sum(pauses[1::2]) < 45 * 60


def test_a_webhook_is_given_up_before_anyone_else_takes_it() -> None:
    assert processing.PROCESS_TIMEOUT_S < inbox.LEASE_S


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url_beside(redis_url)) as broker:  # pyright: ignore[reportUnknownMemberType] - not typed
        yield broker


async def test_webhooks_that_come_together_wake_a_worker_once(api: Api, broker: redis.Redis) -> None:
    waker = api.application.routed.services.inbox_waker

    # Nothing else runs in between, however slow the machine: they do come together.
    for number in range(5):
        waker.note(f"request-{number}")
    await eventually(lambda: broker.llen("dramatiq:payments") > 0)
    waker.note("a-later-request")
    await eventually(lambda: any("a-later-request" in str(body) for body in broker.hvals("dramatiq:payments.msgs")))

    assert broker.llen("dramatiq:payments") == 2


async def test_webhooks_over_http_wake_a_worker_no_more_often_than_they_are_gathered(
    api: Api, broker: redis.Redis, account_id: UUID, database_url: str
) -> None:
    body = webhook_of(paid(place_order(database_url, account_id)))
    began_s = time.monotonic()

    for number in range(20):
        headers = {**GENUINE, "plain-id": f"evt_{number}"}
        assert (await api.client.post("/webhooks/plain", content=body, headers=headers)).status_code == 200
    await eventually(lambda: broker.llen("dramatiq:payments") > 0)

    assert broker.llen("dramatiq:payments") * waking.GATHER_S <= time.monotonic() - began_s
