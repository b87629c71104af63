"""Messages on their way: from the row that commits with a payment to a mail server that does not always behave."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.batch import Rider
from ledger.commands import OpenAccount, TopUp
from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.smtp_server import SmtpServer, certificates, smtp_server
from tests.waiting import eventually
from workers.messages import sending, smtp
from workers.messages.contacts import ContactDetails, set_contact
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.messages.sending import MAX_TRIES, MessageSender, MessageState

FROM = "Acme <billing@acme.example>"
ADA = ContactDetails(email="ada@example.com", locale="en", time_zone="UTC")
LOW: dict[str, object] = {"available": "3", "threshold": "100"}


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


async def account(writer: LedgerWriter) -> UUID:
    account_id = uuid4()
    await writer.submit(OpenAccount(account_id=account_id, command_key="open", owner=account_id.hex, name=""))
    return account_id


async def reader(writer: LedgerWriter, database: Database, details: ContactDetails = ADA) -> UUID:
    account_id = await account(writer)
    await set_contact(database, account_id, details)
    return account_id


async def queue(
    database: Database,
    account_id: UUID,
    key: str = "low",
    *,
    kind: MessageKind = MessageKind.low_balance,
    values: Mapping[str, object] = LOW,
) -> None:
    statement, parameters = queue_message(account_id, kind, key=key, values=values)
    async with database.connection() as connection:
        await connection.execute(statement, parameters)


def sender(server: SmtpServer, **options: Any) -> MessageSender:
    return MessageSender({"SMTP_URL": server.url, "HOLDFAST_MAIL_FROM": FROM}, **options)


def rows(database: Database) -> list[tuple[MessageState, int, str | None]]:
    with psycopg.connect(database.url) as connection:
        found = connection.execute("SELECT state, tries, last_error FROM messages ORDER BY key").fetchall()
    return [(MessageState(state), tries, error) for state, tries, error in found]


def let_all_be_due(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE messages SET due_at = now() WHERE state = 0")


def due_at_s(database: Database) -> float:
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT extract(epoch FROM due_at)::float8 FROM messages").fetchone()
    assert row is not None
    return row[0]


def pause_s(database: Database) -> float:
    return due_at_s(database) - time.time()


async def test_a_message_commits_with_its_payment_and_a_replay_adds_none(
    database: Database, writer: LedgerWriter
) -> None:
    account_id = await account(writer)
    message = queue_message(account_id, MessageKind.low_balance, key="low", values=LOW)
    top_up = TopUp(account_id=account_id, command_key="paid", amount_microcredits=1_000_000)

    for _ in range(2):
        await writer.submit(top_up, riders=[Rider(writes=(message,))])

    assert rows(database) == [(MessageState.waiting, 0, None)]


async def test_a_message_is_told_once_under_its_key(database: Database, writer: LedgerWriter) -> None:
    one, other = await account(writer), await account(writer)

    for account_id in (one, one, other):
        await queue(database, account_id)

    assert len(rows(database)) == 2


async def test_what_cannot_be_stored_is_left_out_of_a_text(database: Database, writer: LedgerWriter) -> None:
    values = {"plan": "\x00\udc80Pro", "effective_at_us": 1}

    await queue(database, await account(writer), kind=MessageKind.plan_changed, values=values)

    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT values->>'plan' FROM messages").fetchone() == ("?Pro",)


async def test_a_message_arrives_in_the_language_of_its_reader(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    account_id = await reader(writer, database, ContactDetails(email="a@example.com", locale="ru", time_zone="UTC"))
    await queue(database, account_id)

    assert await sender(server).run(database) == 1

    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("billing@acme.example", ["a@example.com"])
    assert mail.message["From"] == FROM
    assert mail.message["To"] == "a@example.com"
    assert mail.message["Subject"] == "Ваш баланс подходит к концу"
    assert mail.message["Content-Language"] == "ru"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    plain, html = mail.message.get_body(("plain",)), mail.message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "осталось 3 кредита." in plain.get_content()
    assert "осталось 3 кредита." in html.get_content()
    assert rows(database) == [(MessageState.sent, 1, None)]
    assert await sender(server).run(database) == 0


async def test_nothing_that_somebody_named_a_thing_gets_out_of_its_place(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    name = "Pro\r\nBcc: eve@example.com\r\n\r\n.\r\nQUIT\r\n<img src=x onerror=alert(1)>"
    values = {"plan": name, "ends_at_us": 1_798_759_800_000_000}
    account_id = await reader(writer, database)
    await queue(database, account_id, kind=MessageKind.plan_cancelled, values=values)

    await sender(server).run(database)

    (mail,) = server.mails
    assert mail.recipients == ["ada@example.com"]
    assert "Bcc" not in mail.message
    assert mail.message["Subject"].startswith("Your plan Pro Bcc: eve@example.com . QUIT <img")
    html = mail.message.get_body(("html",))
    assert html is not None
    assert "<img" not in html.get_content()
    assert [part.get_content_type() for part in mail.message.walk()][1:] == ["text/plain", "text/html"]


async def test_one_connection_carries_a_batch_and_a_batch_is_bounded(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    account_id = await reader(writer, database)
    for number in range(sending.BATCH + 1):
        await queue(database, account_id, f"low:{number}")

    done = [await sender(server).run(database) for _ in range(3)]

    assert done == [sending.BATCH, 1, 0]
    assert len(server.mails) == sending.BATCH + 1
    assert server.connections == 2


async def test_two_senders_at_once_send_each_message_once(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    account_id = await reader(writer, database)
    for number in range(30):
        await queue(database, account_id, f"low:{number}")

    await asyncio.gather(*(sender(server).run(database) for _ in range(4)))

    assert len(server.mails) == 30
    assert len({mail.message["Message-ID"] for mail in server.mails}) == 30


async def test_without_a_contact_or_a_server_a_message_is_skipped(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    await queue(database, await account(writer), "a")
    await sender(server).run(database)
    await queue(database, await reader(writer, database), "b")
    await MessageSender({}).run(database)

    assert rows(database) == [(MessageState.skipped, 1, None)] * 2
    assert not server.mails


async def test_a_recipient_that_does_not_exist_is_given_up_and_the_others_get_theirs(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.recipient_replies["gone@example.com"] = ["550 5.1.1 <gone@example.com> does not exist"]
    gone = await reader(writer, database, ContactDetails(email="gone@example.com", locale="en", time_zone="UTC"))
    await queue(database, gone, "a")
    await queue(database, await reader(writer, database), "b")

    await sender(server).run(database)

    assert rows(database) == [
        (MessageState.given_up, 1, "550 5.1.1 <(address)> does not exist"),
        (MessageState.sent, 1, None),
    ]
    assert server.connections == 1


async def test_a_full_mailbox_is_tried_again_after_longer_and_longer_pauses(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.recipient_replies["ada@example.com"] = ["452 4.2.2 full"] * 2
    await queue(database, await reader(writer, database))

    longest: list[float] = []
    shortest: list[float] = []
    for _ in range(2):
        began_s = time.time()
        await sender(server).run(database)
        longest.append(due_at_s(database) - began_s)
        shortest.append(pause_s(database))
        assert await sender(server).run(database) == 0
        let_all_be_due(database)
    await sender(server).run(database)

    # The pause began at some time between.
    assert longest[0] > 22
    assert shortest[0] <= 30
    assert longest[1] > 44
    assert shortest[1] <= 60
    assert rows(database) == [(MessageState.sent, 3, None)]
    assert len(server.mails) == 1


async def test_a_mail_that_the_server_will_not_have_is_given_up_and_one_it_postpones_is_not(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.data_replies = ["554 5.7.1 smells", "451 4.7.1 greylisted"]
    account_id = await reader(writer, database)
    for key in ("a", "b"):
        await queue(database, account_id, key)
        await sender(server).run(database)

    assert rows(database) == [
        (MessageState.given_up, 1, "554 5.7.1 smells"),
        (MessageState.waiting, 1, "451 4.7.1 greylisted"),
    ]


async def test_after_the_last_try_a_message_is_given_up(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.data_replies = ["451 later"] * 2
    await queue(database, await reader(writer, database))
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE messages SET tries = %s", [MAX_TRIES - 2])

    states: list[MessageState] = []
    for _ in range(2):
        await sender(server).run(database)
        states.append(rows(database)[0][0])
        let_all_be_due(database)

    assert states == [MessageState.waiting, MessageState.given_up]


async def test_a_mail_that_was_perhaps_taken_goes_again_as_the_same_mail(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.drops_after_data = 1
    account_id = await reader(writer, database)
    await queue(database, account_id, "a")
    await sender(server).run(database)
    assert rows(database)[0][0] is MessageState.waiting
    await queue(database, account_id, "b")
    let_all_be_due(database)

    await sender(server).run(database)

    assert [row[0] for row in rows(database)] == [MessageState.sent] * 2
    first, *_ = server.mails
    again = [mail for mail in server.mails if mail.message["Message-ID"] == first.message["Message-ID"]]
    assert len(server.mails) == 3
    assert len(again) == 2
    assert again[0].raw == again[1].raw


async def test_a_lost_connection_does_not_take_the_rest_of_a_batch_with_it(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.drops_after_data = 1
    account_id = await reader(writer, database)
    for key in ("a", "b", "c"):
        await queue(database, account_id, key)

    await sender(server).run(database)

    assert sorted(row[0] for row in rows(database)) == [
        MessageState.waiting,
        MessageState.sent,
        MessageState.sent,
    ]
    assert server.connections == 2


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "DATA"])
async def test_a_server_that_stops_answering_costs_a_bounded_time(
    database: Database, writer: LedgerWriter, server: SmtpServer, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(smtp, "STEP_TIMEOUT_S", 0.2)
    server.hangs_at = command
    await queue(database, await reader(writer, database))

    await asyncio.wait_for(sender(server).run(database), timeout=10)

    state, tries, error = rows(database)[0]
    assert (state, tries) == (MessageState.waiting, 1)
    assert error
    assert not server.mails


async def test_a_server_that_dawdles_through_every_step_costs_a_bounded_time(
    database: Database, writer: LedgerWriter, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MAIL_TIMEOUT_S", 0.2)
    server.hangs_at = "DATA"
    await queue(database, await reader(writer, database))

    await asyncio.wait_for(sender(server).run(database), timeout=10)

    assert rows(database) == [(MessageState.waiting, 1, "the server took more than 0.2 s")]


async def test_a_batch_that_takes_too_long_is_left_to_the_next_round(
    database: Database, writer: LedgerWriter, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await reader(writer, database)
    await queue(database, account_id)
    monkeypatch.setattr(sending, "ROUND_S", -1.0)

    await sender(server).run(database)
    assert rows(database) == [(MessageState.waiting, 1, None)]
    monkeypatch.undo()
    await sender(server).run(database)

    assert rows(database)[0][0] is MessageState.sent


async def test_a_server_that_is_away_puts_the_whole_batch_off(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    account_id = await reader(writer, database)
    for key in ("a", "b"):
        await queue(database, account_id, key)
    server.greeting = "554 not today"

    await sender(server).run(database)

    assert [(state, tries) for state, tries, _ in rows(database)] == [(MessageState.waiting, 1)] * 2
    assert server.connections == 1

    server.greeting = "220 back"
    let_all_be_due(database)
    await sender(server).run(database)
    assert len(server.mails) == 2


async def test_a_sender_that_is_refused_is_for_us_to_set_right_and_loses_nothing(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.sender_reply = "550 5.7.1 not from you"
    await queue(database, await reader(writer, database))

    await sender(server).run(database)

    assert rows(database) == [(MessageState.waiting, 1, "the sender was refused: 550 5.7.1 not from you")]


async def test_a_message_that_cannot_be_written_is_given_up_and_holds_nobody_up(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    account_id = await reader(writer, database)
    await queue(database, account_id, "a", values={"available": "many", "threshold": "1"})
    await queue(database, account_id, "b")

    await sender(server).run(database)

    assert [row[0] for row in rows(database)] == [MessageState.given_up, MessageState.sent]


@pytest.mark.parametrize("values", ['{"available": "3", "threshold": "100", "url": 5}', '["available"]', "null"])
async def test_a_message_that_a_bug_wrote_holds_nobody_up_and_is_given_up_in_the_end(
    database: Database, writer: LedgerWriter, server: SmtpServer, values: str
) -> None:
    account_id = await reader(writer, database)
    await queue(database, account_id, "a")
    await queue(database, account_id, "b")
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "UPDATE messages SET values = %s::jsonb, tries = %s WHERE key = 'a'", [values, MAX_TRIES - 1]
        )

    await sender(server).run(database)

    assert [(state, tries) for state, tries, _ in rows(database)] == [
        (MessageState.given_up, MAX_TRIES),
        (MessageState.sent, 1),
    ]


async def test_what_a_server_says_of_an_address_is_hidden_however_it_writes_it(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.recipient_replies["Gone@Example.com"] = ["550 5.1.1 <gone@example.com> does not exist"]
    gone = ContactDetails(email="Gone@Example.com", locale="en", time_zone="UTC")
    await queue(database, await reader(writer, database, gone))

    await sender(server).run(database)

    assert rows(database) == [(MessageState.given_up, 1, "550 5.1.1 <(address)> does not exist")]


async def test_a_sender_that_dies_is_followed_by_another_once_its_time_is_over(
    database: Database, writer: LedgerWriter, server: SmtpServer
) -> None:
    server.hangs_at = "DATA"
    await queue(database, await reader(writer, database))
    dying = asyncio.create_task(sender(server).run(database))
    # Python 3.11 may pass over a cancel that meets an answer: it is to come while none is on its way.
    await eventually(lambda: server.has_hung)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    server.hangs_at = ""

    assert await sender(server).run(database) == 0
    assert 300 < pause_s(database) <= sending.LEASE_S
    let_all_be_due(database)
    assert await sender(server).run(database) == 1

    assert rows(database) == [(MessageState.sent, 2, None)]


async def test_a_sender_that_was_given_up_on_does_not_undo_what_the_next_one_did(
    database: Database, writer: LedgerWriter
) -> None:
    await queue(database, await reader(writer, database))
    (slow,) = await sending._claim(database)  # pyright: ignore[reportPrivateUsage]
    let_all_be_due(database)
    (quick,) = await sending._claim(database)  # pyright: ignore[reportPrivateUsage]

    late = (slow.failed("slow"), slow.settled(MessageState.given_up))
    for statement, parameters in (quick.settled(MessageState.sent), *late):
        async with database.connection() as connection:
            await connection.execute(statement, parameters)

    assert rows(database) == [(MessageState.sent, 2, None)]


async def test_mail_is_encrypted_before_the_password_is_said(database: Database, writer: LedgerWriter) -> None:
    ours, theirs = certificates()
    await queue(database, await reader(writer, database))
    async with smtp_server(tls=ours) as server:
        server.users["me"] = "p@ss/word"
        url = f"smtp://me:p%40ss%2Fword@localhost:{server.port}?starttls=1"

        await MessageSender({"SMTP_URL": url, "HOLDFAST_MAIL_FROM": FROM}, tls=theirs).run(database)

        assert [(mail.encrypted, mail.user) for mail in server.mails] == [(True, "me")]


async def test_mail_is_encrypted_from_the_start_where_the_server_wants_it_so(
    database: Database, writer: LedgerWriter
) -> None:
    ours, theirs = certificates()
    await queue(database, await reader(writer, database))
    async with smtp_server(tls=ours, encrypted_from_the_start=True) as server:
        url = f"smtps://localhost:{server.port}"

        await MessageSender({"SMTP_URL": url, "HOLDFAST_MAIL_FROM": FROM}, tls=theirs).run(database)

        assert [mail.encrypted for mail in server.mails] == [True]


async def test_nothing_is_said_to_a_server_that_does_not_encrypt_or_that_nobody_vouches_for(
    database: Database, writer: LedgerWriter
) -> None:
    ours, _ = certificates()
    _, strangers = certificates()
    account_id = await reader(writer, database)
    async with smtp_server() as plain, smtp_server(tls=ours) as unknown:
        for server in (plain, unknown):
            server.users["me"] = "secret"
            await queue(database, account_id, str(server.port))
            url = f"smtp://me:secret@localhost:{server.port}?starttls=1"
            await MessageSender({"SMTP_URL": url, "HOLDFAST_MAIL_FROM": FROM}, tls=strangers).run(database)

        assert not plain.mails + unknown.mails
        assert not plain.logins + unknown.logins
    assert [row[0] for row in rows(database)] == [MessageState.waiting] * 2


async def test_a_wrong_password_is_in_no_row_and_no_log(
    database: Database, writer: LedgerWriter, server: SmtpServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.users["me"] = "right"
    await queue(database, await reader(writer, database))
    url = server.url.replace("//", "//me:hunter2-secret@")

    await MessageSender({"SMTP_URL": url, "HOLDFAST_MAIL_FROM": FROM}).run(database)

    assert rows(database) == [(MessageState.waiting, 1, "the login was refused: 535")]
    said = capfd.readouterr()
    assert "hunter2" not in said.out + said.err
