"""`holdfast payments` as a program: webhooks, mismatches and orders, for people and for programs."""

import asyncio
import subprocess
import sys
from typing import Any
from uuid import uuid4

import msgspec
import psycopg

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.payments import dispute_of, paid, payments_in, place_order, refund_of, webhook_of
from workers.payments import inbox
from workers.payments.facts import DisputeStatus
from workers.payments.gateway import WebhookEvent
from workers.payments.money import Money
from workers.payments.processing import InboxProcessor
from workers.payments.settling import settle

TIMEOUT_S = 60


class Ran(msgspec.Struct, frozen=True):
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)

    @property
    def ids(self) -> list[int]:
        return [item["id"] for item in self.document["items"]]


async def payments(url: str, *words: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", "payments", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def keep(database: Database, name: str, body: bytes = b"[]", *, state: int = 0, tries: int = 0) -> int:
    """Keep a webhook in a state; return its id."""
    event = WebhookEvent(event_id=name, kind="facts", object_id=f"object of {name}")
    headers = {
        "content-type": "application/json", "stripe-signature": "t=1,v1=0123456789abcdef",
        "paypal-transmission-sig": "c2lnbmF0dXJl", "x-request-id": "r-1", "x-api-key": "hunter2hunter2",
    }  # fmt: skip
    assert await inbox.keep(database, "plain", event, headers=headers, body=body, request_id="request-1")
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "UPDATE payment_inbox SET state = %s, tries = %s, due_at = now() + interval '1 hour',"
            " last_error = CASE WHEN %s > 0 THEN 'NotYet: no such order' END WHERE event_id = %s RETURNING id",
            [state, tries, tries, name],
        ).fetchone()
    assert row is not None
    return row[0]


async def test_webhooks_are_listed_by_their_state(database: Database) -> None:
    waiting, done, dead = [await keep(database, f"evt_{state}", state=state, tries=state) for state in range(3)]

    everything = await payments(database.url, "inbox", "list", "--json")
    assert (everything.status, everything.ids) == (0, [waiting, dead])
    for state, webhook_id in (("waiting", waiting), ("done", done), ("dead", dead)):
        assert (await payments(database.url, "inbox", "list", "--state", state, "--json")).ids == [webhook_id]
    shown = await payments(database.url, "inbox", "list")
    assert "NotYet: no such order" in shown.out
    first = await payments(database.url, "inbox", "list", "--limit", "1", "--json")
    assert (first.ids, first.document["next_after"]) == ([waiting], waiting)
    assert (await payments(database.url, "inbox", "list", "--after", str(waiting), "--json")).ids == [dead]
    assert (await payments(database.url, "inbox", "list", "--state", "lost")).status == 2


async def test_a_webhook_is_shown_without_its_signature_and_cannot_steer_a_terminal(database: Database) -> None:
    webhook_id = await keep(database, "evt_1", b'{"name": "\x1b[2Jeve"}')

    shown = await payments(database.url, "inbox", "show", str(webhook_id))
    as_json = await payments(database.url, "inbox", "show", str(webhook_id), "--json")

    assert shown.status == 0
    for secret in ("0123456789abcdef", "c2lnbmF0dXJl", "hunter2"):
        assert secret not in shown.out + as_json.out
    assert "stripe-signature: [23 characters]" in shown.out
    assert "content-type: application/json" in shown.out
    assert "\x1b" not in shown.out
    assert '{"name": "�[2Jeve"}' in shown.out
    assert as_json.document["body"] == '{"name": "\x1b[2Jeve"}'
    assert as_json.document["webhook"]["request_id"] == "request-1"
    assert (await payments(database.url, "inbox", "show", "12345")).status == 1


async def test_a_replayed_webhook_is_processed_as_if_it_had_just_come(database: Database, writer: LedgerWriter) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    payment = paid(place_order(database.url, account_id))
    dead = await keep(database, "evt_dead", webhook_of(payment), state=2, tries=12)
    done = await keep(database, "evt_done", webhook_of(payment), state=1)
    other = await keep(database, "evt_other", webhook_of(payment), state=2, tries=12)
    processor = InboxProcessor(payments_in(database, writer))
    assert await processor.work() == 0

    replayed = await payments(database.url, "inbox", "replay", str(dead), str(done), "--json")

    assert (replayed.status, replayed.document) == (0, {"replayed": [dead, done], "unknown": []})
    assert await processor.work() == 2
    assert (await payments(database.url, "inbox", "list", "--state", "done", "--json")).ids == [dead, done]

    rest = await payments(database.url, "inbox", "replay", "--all-dead", "--json")
    assert rest.document == {"replayed": [other], "unknown": []}
    assert await processor.work() == 1
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE kind = 2").fetchone() == (1,)


async def test_a_replay_of_nothing_or_of_what_is_not_there_is_told(database: Database) -> None:
    webhook_id = await keep(database, "evt_1", state=2, tries=3)

    unknown = await payments(database.url, "inbox", "replay", str(webhook_id), "999", "--json")

    assert (unknown.status, unknown.document) == (1, {"replayed": [webhook_id], "unknown": [999]})
    assert (await payments(database.url, "inbox", "replay")).status == 2
    assert (await payments(database.url, "inbox", "replay", "1", "--all-dead")).status == 2
    assert (await payments(database.url, "inbox", "replay", "--all-dead")).out == "0 to be processed again\n"


async def test_a_mismatch_is_listed_until_somebody_says_what_was_done(database: Database, writer: LedgerWriter) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    payment = paid(place_order(database.url, account_id), price=Money(900, "USD"))
    await settle(payments_in(database, writer), "plain", payment)

    listed = await payments(database.url, "mismatches", "list", "--json")
    resolved = await payments(
        database.url, "mismatches", "resolve", "plain", payment.payment_id, "--note", "refunded by hand"
    )
    again = await payments(
        database.url, "mismatches", "resolve", "plain", payment.payment_id, "--note", "no, I did", "--json"
    )

    (item,) = listed.document["items"]
    assert (item["payment_id"], item["reason"], item["amount"]) == (payment.payment_id, "amount", "9.00")
    assert (resolved.status, again.status) == (0, 0)
    assert "resolved by cli: refunded by hand" in resolved.out
    assert again.document["resolution"] == "refunded by hand"
    assert (await payments(database.url, "mismatches", "list")).out == "no mismatches\n"
    assert len((await payments(database.url, "mismatches", "list", "--all", "--json")).document["items"]) == 1
    assert (await payments(database.url, "mismatches", "resolve", "plain", "none", "--note", "x")).status == 1
    assert (await payments(database.url, "mismatches", "resolve", "plain", payment.payment_id)).status == 2
    for note in (" ", "x" * 501, "\x1b[2J"):
        words = ("mismatches", "resolve", "plain", payment.payment_id, "--note", note)
        assert (await payments(database.url, *words)).status == 2


async def test_a_list_of_mismatches_that_is_cut_short_says_so(database: Database, writer: LedgerWriter) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    for _ in range(3):
        payment = paid(place_order(database.url, account_id), price=Money(900, "USD"))
        await settle(payments_in(database, writer), "plain", payment)

    cut = await payments(database.url, "mismatches", "list", "--limit", "2")
    cut_document = (await payments(database.url, "mismatches", "list", "--limit", "2", "--json")).document
    whole = await payments(database.url, "mismatches", "list", "--limit", "3", "--json")

    assert cut.out.splitlines()[2:] == ["there are more: ask for them with a greater --limit, or deal with these first"]
    assert (len(cut_document["items"]), cut_document["has_more"]) == (2, True)
    assert (len(whole.document["items"]), whole.document["has_more"]) == (3, False)


async def test_an_order_is_shown_with_all_that_gateways_said_of_it(database: Database, writer: LedgerWriter) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    order_id = place_order(database.url, account_id)
    first, second = paid(order_id), paid(order_id)
    context = payments_in(database, writer)
    for fact in (first, second, refund_of(first, 250), dispute_of(first, DisputeStatus.opened)):
        await settle(context, "plain", fact)

    shown = await payments(database.url, "orders", "show", str(order_id))
    as_json = await payments(database.url, "orders", "show", str(order_id), "--json")

    document = as_json.document
    assert (document["state"], document["price"], document["currency"]) == ("paid", "10.00", "USD")
    assert (document["credits"], document["account_id"]) == ("1000", str(account_id))
    assert {(each["what"], each["id"], each["status"]) for each in document["history"]} >= {
        ("payment", first.payment_id, "paid"),
        ("payment", second.payment_id, "paid"),
        ("mismatch", second.payment_id, "open"),
        ("dispute", f"dp_{first.payment_id}", "opened"),
    }
    assert sorted(each["what"] for each in document["history"]) == [
        "dispute", "mismatch", "payment", "payment", "refund",
    ]  # fmt: skip
    assert f"{order_id}  paid" in shown.out
    assert "2.50 USD" in shown.out
    assert (await payments(database.url, "orders", "show", str(uuid4()))).status == 1
    assert (await payments(database.url, "orders", "show", "nonsense")).status == 2
