"""`holdfast reconcile` against every gateway's own server: what its webhooks did not bring is found and posted."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.fakes.stripe_server import FakeStripe
from tests.ledger_state import check_everything
from tests.payments import CREDIT, place_order
from tests.tills import Delivery, Till
from workers.payments.context import PaymentContext
from workers.payments.gateway import Purchase
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money
from workers.payments.settling import settle

TIMEOUT_S = 120
PACK = 1_000 * CREDIT
DAY_S = 86_400


class Ran(msgspec.Struct, frozen=True):
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def differing(self) -> dict[str, str]:
        """What does not match in the end, by id."""
        stands = {line["id"]: line["after"] or line for line in msgspec.json.decode(self.out)["lines"]}
        return {id_: f"{now['kind']}/{now['detail']}" for id_, now in stands.items() if now["kind"] != "matched"}

    @property
    def totals(self) -> dict[str, int]:
        """How many there are of each kind that there is."""
        return {kind: count for kind, count in msgspec.json.decode(self.out)["totals"].items() if count}


def days_from_now(days: int) -> str:
    """The day in UTC. Asked for when it is needed: the tests may have begun on another."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * DAY_S))


async def reconcile(url: str, environment: dict[str, str], *words: str, since: str = "") -> Ran:
    window = ("--since", since or days_from_now(-1), "--until", days_from_now(1))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "reconcile", *words, *window,
        env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def files_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


class Counter:
    """Where customers buy packs, and where webhooks arrive or do not."""

    def __init__(self, till: Till, context: PaymentContext, account_id: UUID) -> None:
        self.till, self.context, self.account_id = till, context, account_id
        self.gateway = context.gateways.get(till.name)

    async def buy(self) -> list[Delivery]:
        """Order a pack and pay for it."""
        order_id = place_order(
            self.context.database.url, self.account_id, id=uuid7(), gateway=self.till.name, currency=self.till.currency
        )
        purchase = Purchase(
            order_id=order_id,
            account_id=self.account_id,
            title="Starter",
            price=Money(1_000, self.till.currency),
            return_url="https://shop.example/thanks",
            email="buyer@shop.example",
        )
        return self.till.pay((await self.gateway.start_purchase(purchase)).gateway_id)

    async def hear(self, deliveries: list[Delivery]) -> None:
        """Take webhooks in."""
        for delivery in deliveries:
            event = await self.gateway.verify(
                delivery.headers, delivery.body, remote_address=self.till.sends_from, now_s=time.time()
            )
            for fact in await self.gateway.facts(event.kind, delivery.headers, delivery.body):
                await settle(self.context, self.till.name, fact)

    def payment_ids(self) -> list[str]:
        """Of what was credited, in the order of time."""
        with psycopg.connect(self.context.database.url) as connection:
            rows = connection.execute("SELECT payment_id FROM payments WHERE credits > 0 ORDER BY created_at")
            return [row[0] for row in rows]


@pytest.fixture
async def counter(till: Till, database: Database, writer: LedgerWriter) -> AsyncIterator[Counter]:
    gateways = Gateways(till.environment)
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    yield Counter(till, PaymentContext(database, writer, gateways), account_id)
    await gateways.aclose()


async def test_what_no_webhook_brought_is_posted_and_a_late_webhook_changes_nothing(
    counter: Counter, till: Till, database_url: str
) -> None:
    await counter.hear(await counter.buy())
    (first,) = counter.payment_ids()
    lost = [*await counter.buy(), *till.refund(first, "2.50")]

    found = await reconcile(database_url, till.environment, till.name, "--json")
    posted = await reconcile(database_url, till.environment, till.name, "--json", "--apply")
    state = check_everything(database_url)
    again = await reconcile(database_url, till.environment, till.name, "--json", "--apply")
    await counter.hear(lost)
    late = await reconcile(database_url, till.environment, till.name, "--json", "--all")

    assert (found.status, found.totals) == (1, {"matched": 1, "missing_here": 2}), found.err
    assert set(found.differing.values()) == {"missing_here/unknown"}
    assert (posted.status, posted.differing) == (0, {}), posted.err
    assert (again.status, again.totals) == (0, {"matched": 3})
    assert (late.status, late.totals) == (0, {"matched": 3})
    assert check_everything(database_url) == state
    assert [account.available for account in state] == [2 * PACK - 250 * CREDIT]


async def test_hundreds_of_stripes_payments_are_compared_page_by_page(
    database: Database, writer: LedgerWriter, tmp_path: Path
) -> None:
    async with FakeStripe() as stripe:
        gateways = Gateways(stripe.environment)
        context = PaymentContext(database, writer, gateways)
        account_id, now_s = uuid4(), int(time.time())
        await writer.submit(open_account(account_id))
        intents: list[dict[str, Any]] = []
        for number in range(350):
            order_id = place_order(database.url, account_id, gateway="stripe")
            metadata = {"order_id": str(order_id), "account_id": str(account_id)}
            intents.append(stripe.add_paid(1_000, "usd", metadata, created=now_s - 3_600 + number))
        refunds = [stripe.start_refund(intent, 250) for intent in intents[:150]]
        gateway = gateways.get("stripe")
        facts = [fact async for fact in gateway.listed(since_us=0, until_us=(now_s + 60) * 1_000_000)]
        missing = {intents[340]["id"], intents[7]["id"], refunds[3]["id"]}
        for fact in facts:
            if not {getattr(fact, "refund_id", ""), fact.payment_id} & missing:
                await settle(context, "stripe", fact)
        for intent in (intents[11], intents[200]):
            intent["amount"] = intent["amount_received"] = 999
        intents[12]["currency"] = "eur"
        refunds[20]["amount"] = 249
        stripe.add_paid(1_000, "usd", dict(intents[30]["metadata"]), created=now_s)
        (twice,) = [each["id"] for each in stripe.all("payment_intent") if each not in intents]
        with psycopg.connect(database.url) as connection:
            connection.execute(
                "INSERT INTO payments (gateway, payment_id, amount_minor, happened_at, status, currency)"
                " VALUES ('stripe', 'pi_ours', 1000, now(), 2, 'USD')"
            )
        expected = {
            **dict.fromkeys(missing, "missing_here/unknown"),
            # Its payment is not here, so nobody has heard of the refund either.
            refunds[7]["id"]: "missing_here/unknown",
            intents[11]["id"]: "different_amount/amount",
            intents[200]["id"]: "different_amount/amount",
            intents[12]["id"]: "different_amount/currency",
            refunds[20]["id"]: "different_amount/amount",
            twice: "duplicate/order_paid_twice",
            "pi_ours": "missing_there/uncredited",
        }

        csv_file = tmp_path / "lines.csv"
        calls = len(stripe.calls)
        found = await reconcile(database.url, stripe.environment, "stripe", "--json", "--csv", str(csv_file))
        asked = len(stripe.calls) - calls
        shown = await reconcile(database.url, stripe.environment, "stripe")
        posted = await reconcile(database.url, stripe.environment, "stripe", "--json", "--apply")
        state = check_everything(database.url)
        again = await reconcile(database.url, stripe.environment, "stripe", "--json", "--apply")
        await gateways.aclose()

    assert (found.status, found.differing) == (1, expected), found.err
    # Four pages of payments and two of refunds, and again further back for the one that is not there.
    assert asked == 8
    assert len(csv_file.read_text().splitlines()) == 1 + len(expected)
    assert shown.status == 1
    assert all(id_ in shown.out for id_ in expected)
    assert "different amount (currency)" in shown.out
    rest = {id_: kind for id_, kind in expected.items() if kind != "missing_here/unknown"}
    assert (posted.status, posted.differing) == (1, rest), posted.err
    assert again.differing == rest
    assert check_everything(database.url) == state


async def test_what_cannot_be_reached_or_makes_no_sense_has_its_exit_status(database_url: str, tmp_path: Path) -> None:
    nowhere = {"STRIPE_API_KEY": "sk_test_fake", "STRIPE_BASE_URL": "http://127.0.0.1:1"}
    async with FakeStripe() as stripe:
        wrong_key = await reconcile(database_url, {**stripe.environment, "STRIPE_API_KEY": "sk_test_other"}, "stripe")
        no_database = await reconcile("postgresql://127.0.0.1:1/none", stripe.environment, "stripe")
        nothing = await reconcile(database_url, stripe.environment, "stripe")
        late = await reconcile(database_url, stripe.environment, "stripe", since="2999-01-01")
        no_date = await reconcile(database_url, stripe.environment, "stripe", since="yesterday")
        no_file = await reconcile(database_url, stripe.environment, "stripe", "--csv", "/nowhere/lines.csv")
    csv_file = tmp_path / "lines.csv"
    unreachable = await reconcile(database_url, nowhere, "stripe", "--json", "--csv", str(csv_file))
    unconfigured = await reconcile(database_url, {}, "stripe")
    no_gateway = await reconcile(database_url, {}, "cash")

    assert [ran.status for ran in (wrong_key, no_database, unreachable, unconfigured)] == [3, 3, 3, 3]
    assert [ran.status for ran in (late, no_date, no_file, no_gateway)] == [2, 2, 2, 2]
    assert (nothing.status, nothing.out) == (0, "nothing on either side\n")
    assert unreachable.out == ""
    assert files_in(tmp_path) == []
    assert "sk_test" not in wrong_key.err + unreachable.err
    assert len(unreachable.err.splitlines()) == 1


async def refunded(url: str, environment: dict[str, str], *words: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "payments", "refund", *words,
        env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def test_money_given_back_on_the_command_line_takes_its_credits_and_is_given_back_once(
    counter: Counter, till: Till, database_url: str
) -> None:
    await counter.hear(await counter.buy())
    (payment_id,) = counter.payment_ids()
    words = (till.name, payment_id, "--amount", "2.50", "--reason", "asked for", "--key", "refund-one", "--json")

    first = await refunded(database_url, till.environment, *words)
    again = await refunded(database_url, till.environment, *words)
    too_much = await refunded(database_url, till.environment, till.name, payment_id, "--amount", "99", "--reason", "x")

    assert first.status == 0, first.err
    assert msgspec.json.decode(first.out)["amount"] == "2.50"
    assert again.status == 0, again.err
    assert msgspec.json.decode(again.out)["refund_id"] == msgspec.json.decode(first.out)["refund_id"]
    assert too_much.status == 1
    assert "left of this payment" in too_much.err
    (account,) = check_everything(database_url)
    assert account.available == 750 * CREDIT
