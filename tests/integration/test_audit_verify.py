"""`holdfast audit verify` finds what a superuser changes with the triggers off, and names the event where it can."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.audit.accounts import AccountRange, check_accounts
from ledger.audit.log import Claim, check_log
from ledger.audit.order import Order, OrderFiles, reserve, write_places
from ledger.audit.whole import add_up, read_whole
from ledger.checkpoints import SignedCheckpoint, append, claimed_by
from ledger.commands import ReverseTopUp
from ledger.database import Database
from ledger.events import GENESIS_HASH
from ledger.notes import SigningKey, VerifierKey
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from ops.audit.snapshot import one_moment
from ops.audit.verify import Report, verify
from ops.errors import CannotReach
from tests.builders import charge, confirm, freeze, grant, open_account, reinstate, reverse, rollback, top_up
from tests.ledger_state import events_of, hash_by_hand

KEY = SigningKey.generate("holdfast.example/test")


class Audited:
    """A database with two accounts of some history, sealed in two ticks, with a checkpoint of the first."""

    def __init__(self, url: str, superuser_url: str, account_id: UUID, other_id: UUID, note: str) -> None:
        self.url = url
        self.superuser_url = superuser_url
        self.account_id = account_id
        self.other_id = other_id
        self.note = note

    def tamper(self, *statements: Any, **values: Any) -> None:
        """Do what no application may, with the triggers off."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement, {"account": self.account_id, "other": self.other_id, **values})

    async def verify(self, *, with_old: bool = False, trusted: tuple[VerifierKey, ...] = (KEY.verifier,)) -> Report:
        old = claimed_by(self.note)
        claims = [Claim(old.size, old.root, "given", "the old checkpoint")] if with_old else []
        return await verify(self.url, claims=claims, trusted=trusted, progress=lambda _done, _total: None)

    def seq_of(self, account_id: UUID, version: int) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT seq FROM sealed JOIN events USING (position) WHERE account_id = %s AND version = %s",
                [account_id, version],
            ).fetchone()
        assert row is not None
        return row[0]

    def rehash(self, account_id: UUID) -> None:
        """Make the chain of an account fit its events again, as a thorough attacker would."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            previous = GENESIS_HASH
            for event in events_of(connection, account_id):
                previous = hash_by_hand(previous, event)
                connection.execute(
                    "UPDATE events SET hash = %s WHERE account_id = %s AND version = %s",
                    [previous, account_id, event.version],
                )
            connection.execute("UPDATE accounts SET head = %s WHERE id = %s", [previous, account_id])


@pytest.fixture
async def audited(database: Database, writer: LedgerWriter, superuser_url: str) -> Audited:
    account_id, other_id = uuid4(), uuid4()
    await live(writer, account_id)
    async with database.connection() as connection:
        await seal(connection)
        signed = await append(connection, KEY)
    assert isinstance(signed, SignedCheckpoint)
    await live(writer, other_id)
    await writer.submit(charge(5, account_id))
    async with database.connection() as connection:
        await seal(connection)
    return Audited(database.url, superuser_url, account_id, other_id, signed.note)


async def live(writer: LedgerWriter, account_id: UUID) -> None:
    await writer.submit(open_account(account_id))
    bought = await writer.submit(top_up(1_000, account_id))
    await writer.submit(grant(500, account_id))
    kept, released, open_one = (freeze(100, account_id) for _ in range(3))
    for frozen in (kept, released, open_one):
        await writer.submit(frozen)
    await writer.submit(confirm(kept.freeze_id, 60, account_id))
    await writer.submit(rollback(released.freeze_id, account_id))
    taken_back: ReverseTopUp = reverse(bought.event.version, 200, account_id)
    reversal = await writer.submit(taken_back)
    await writer.submit(reinstate(reversal.event.version, account_id))


def events_named(report: Report) -> list[tuple[UUID | None, int | None]]:
    return [(finding.account_id, finding.version) for finding in report.findings]


def checks_of(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


async def test_what_nobody_touched_is_in_order(audited: Audited) -> None:
    report = await audited.verify(with_old=True)

    assert report.findings == []
    assert (report.events, report.sealed, report.ticks, report.checkpoints) == (21, 21, 2, 1)
    assert report.totals.conserve()
    assert report.totals.credited == 3_000


async def test_an_event_that_is_not_sealed_yet_is_in_order(audited: Audited, writer: LedgerWriter) -> None:
    await writer.submit(charge(1, audited.account_id))

    report = await audited.verify(with_old=True)

    assert report.findings == []
    assert (report.events, report.sealed) == (22, 21)


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount + 1",
        "available_after = available_after + 1",
        "recorded_at = recorded_at + interval '1 us'",
        "command_key = 'other'",
        "request_digest = request_digest + 1",
        "body = body || ' '",
        "kind = 2",
    ],
)
async def test_a_changed_event_is_named(audited: Audited, change: str) -> None:
    audited.tamper(f"UPDATE events SET {change} WHERE account_id = %(account)s AND version = 3".encode())

    report = await audited.verify()

    first = report.findings[0]
    assert (first.check, first.account_id, first.version, first.seq) == ("chain", audited.account_id, 3, 3)


async def test_a_kind_that_does_not_exist_is_named(audited: Audited) -> None:
    audited.tamper("UPDATE events SET kind = 99 WHERE account_id = %(account)s AND version = 3")

    assert (audited.account_id, 3) in events_named(await audited.verify())


async def test_a_changed_amount_with_a_new_chain_is_named_by_the_tree(audited: Audited) -> None:
    audited.tamper(
        "UPDATE events SET amount = amount + 1, available_after = available_after + 1"
        " WHERE account_id = %(account)s AND version = 3"
    )
    audited.rehash(audited.account_id)

    report = await audited.verify()

    assert ("tree", 10) in {(finding.check, finding.seq) for finding in report.findings}
    assert "events 1 to 10" in next(finding.problem for finding in report.findings if finding.check == "tree")


async def test_a_deleted_last_event_is_missed_although_the_account_was_set_back(audited: Audited) -> None:
    last_seq = audited.seq_of(audited.account_id, 11)
    audited.tamper(
        "DELETE FROM events WHERE account_id = %(account)s AND version = 11",
        "UPDATE accounts SET version = 10, available = available + 5, spent = spent - 5, head = events.hash"
        " FROM events WHERE accounts.id = account_id AND account_id = %(account)s AND events.version = 10",
    )

    report = await audited.verify()

    assert ("order", last_seq) in {(finding.check, finding.seq) for finding in report.findings}


async def test_a_deleted_last_event_is_named_by_the_account_that_still_counts_it(audited: Audited) -> None:
    audited.tamper("DELETE FROM events WHERE account_id = %(account)s AND version = 11")

    assert (audited.account_id, 11) in events_named(await audited.verify())


async def test_a_deleted_event_in_the_middle_is_named(audited: Audited) -> None:
    audited.tamper("DELETE FROM events WHERE account_id = %(account)s AND version = 4")

    report = await audited.verify()

    assert report.findings[0].seq == 4
    assert (audited.account_id, 4) in events_named(report)


async def test_an_account_that_was_deleted_and_made_anew_is_found(audited: Audited, writer: LedgerWriter) -> None:
    seqs = [audited.seq_of(audited.other_id, version) for version in range(1, 11)]
    tables = ("events", "lots", "freezes", "reversals")
    audited.tamper(
        *(f"DELETE FROM {table} WHERE account_id = %(other)s".encode() for table in tables),
        "DELETE FROM accounts WHERE id = %(other)s",
    )
    await live(writer, audited.other_id)

    report = await audited.verify()

    assert {finding.seq for finding in report.findings if finding.check == "order"} & set(seqs)


async def test_two_events_that_changed_places_in_the_order_are_named(audited: Audited) -> None:
    audited.tamper(
        "UPDATE sealed SET position = -position WHERE seq IN (4, 5)",
        "UPDATE sealed SET position = (SELECT -position FROM sealed AS pair WHERE pair.seq = 9 - sealed.seq)"
        " WHERE seq = 4",
        "UPDATE sealed SET position = (SELECT max(-position) FROM sealed AS pair WHERE pair.seq = 5) - 1 WHERE seq = 5",
    )

    report = await audited.verify()

    assert report.findings[0].seq in {4, 5}
    assert checks_of(report) >= {"order", "tree"}


async def test_two_events_of_one_position_are_found_though_their_number_is_right(audited: Audited) -> None:
    audited.tamper(
        "ALTER TABLE events ALTER position SET GENERATED BY DEFAULT",
        "UPDATE events SET position = (SELECT position FROM sealed WHERE seq = 4)"
        " WHERE position = (SELECT position FROM sealed WHERE seq = 5)",
    )

    problems = {(finding.seq, finding.problem) for finding in (await audited.verify()).findings}

    assert (5, "the event that was sealed here is gone") in problems
    assert (4, "another event has the same place in the sealed order") in problems


@pytest.mark.parametrize("seq", [2, 5, 10, 11, 12, 20, 21])
async def test_a_place_that_names_the_event_before_it_is_found(audited: Audited, seq: int) -> None:
    audited.tamper(
        "ALTER TABLE sealed DROP CONSTRAINT sealed_position_key",
        "UPDATE sealed SET position = (SELECT position FROM sealed WHERE seq = %(seq)s - 1) WHERE seq = %(seq)s",
        seq=seq,
    )

    problems = {(finding.seq, finding.problem) for finding in (await audited.verify()).findings}

    assert (None, "the event was there at the last tick and is not in the sealed order") in problems
    assert {seq for seq, problem in problems if problem == "the event that was sealed here is gone"} == {seq - 1}


@pytest.mark.parametrize("column", ["position", "hash"])
async def test_an_event_that_lost_what_it_must_have_is_named(audited: Audited, column: str) -> None:
    identity = "ALTER position DROP IDENTITY, " if column == "position" else ""
    audited.tamper(
        f"ALTER TABLE events {identity}ALTER {column} DROP NOT NULL",
        f"UPDATE events SET {column} = NULL WHERE account_id = %(account)s AND version = 3",
    )

    assert (audited.account_id, 3) in events_named(await audited.verify())


async def reseal(audited: Audited, database: Database) -> None:
    """Seal everything anew, as somebody would who rewrites the whole log and owns the database."""
    audited.tamper(
        "DELETE FROM ticks WHERE number > 0",
        "DELETE FROM sealed",
        "DELETE FROM tiles",
        "DELETE FROM checkpoints",
    )
    async with database.connection() as connection:
        await seal(connection)


async def test_a_log_that_was_rewritten_consistently_is_found_with_the_old_checkpoint(
    audited: Audited, database: Database
) -> None:
    audited.tamper(
        "UPDATE events SET command_key = 'rewritten' WHERE account_id = %(account)s AND version = 3",
    )
    audited.rehash(audited.account_id)
    await reseal(audited, database)

    without = await audited.verify()
    with_old = await audited.verify(with_old=True)

    assert without.findings == [], "the database alone cannot show it"
    assert checks_of(with_old) == {"checkpoint"}


async def test_a_log_restored_to_before_a_checkpoint_is_found(audited: Audited) -> None:
    audited.tamper(
        "DELETE FROM ticks",
        "INSERT INTO ticks (number, size, snapshot) VALUES (0, 0, '1:1:')",
        "DELETE FROM sealed",
        "DELETE FROM tiles",
        "DELETE FROM checkpoints",
        "DELETE FROM events",
        *(f"DELETE FROM {table}".encode() for table in ("accounts", "lots", "freezes", "reversals")),
    )

    report = await audited.verify(with_old=True)

    assert checks_of(report) == {"checkpoint"}
    assert "restored" in report.findings[0].problem


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE ticks SET root = sha256('') WHERE number = 2", "tree"),
        ("UPDATE ticks SET size = size + 1 WHERE number = 2", "order"),
        ("DELETE FROM ticks WHERE number = 1", "order"),
        ("DELETE FROM sealed WHERE seq = 5", "order"),
        ("UPDATE checkpoints SET root = sha256('')", "signature"),
        ("UPDATE checkpoints SET note = replace(note, 'holdfast', 'holdfest')", "signature"),
        ("UPDATE accounts SET available = available - 1, spent = spent + 1 WHERE id = %(account)s", "projection"),
        ("UPDATE accounts SET owner = 'somebody else' WHERE id = %(account)s", "projection"),
        ("DELETE FROM accounts WHERE id = %(account)s", "projection"),
        ("INSERT INTO accounts (id, owner, created_at, updated_at) VALUES (uuidv7(), 'x', now(), now())", "projection"),
        ("UPDATE lots SET remaining = remaining - 1 WHERE account_id = %(account)s AND number = 2", "projection"),
        ("UPDATE lots SET expires_at = now() WHERE account_id = %(account)s AND number = 2", "projection"),
        ("DELETE FROM lots WHERE account_id = %(account)s AND number = 3", "projection"),
        ("UPDATE freezes SET confirmed = confirmed + 1 WHERE account_id = %(account)s AND state = 1", "projection"),
        ("UPDATE freezes SET expires_at = now() WHERE account_id = %(account)s AND state = 0", "projection"),
        ("DELETE FROM freezes WHERE account_id = %(account)s AND state = 2", "projection"),
        ("UPDATE reversals SET reinstated = false WHERE account_id = %(account)s", "projection"),
        ("DELETE FROM reversals WHERE account_id = %(account)s", "projection"),
    ],
)
async def test_what_is_kept_beside_the_events_is_held_against_them(
    audited: Audited, statement: str, check: str
) -> None:
    audited.tamper(statement.encode())

    assert check in checks_of(await audited.verify())


async def test_a_freeze_that_no_event_opened_is_found(audited: Audited) -> None:
    audited.tamper(
        "INSERT INTO freezes (id, account_id, amount, confirmed, opened_at, expires_at, state, draws, reference)"
        " VALUES (uuidv7(), %(account)s, 1, 0, now(), now(), 0, '[]', '')"
    )

    assert checks_of(await audited.verify()) == {"projection"}


async def test_an_event_that_was_slipped_in_behind_the_last_tick_is_found(audited: Audited) -> None:
    audited.tamper(
        "INSERT INTO events (account_id, version, kind, amount, available_after, frozen_after, recorded_at,"
        " command_key, request_digest, body, hash, xid)"
        " SELECT account_id, 12, kind, amount, available_after, frozen_after, recorded_at, 'slipped in', 0, body, hash,"
        " xid FROM events WHERE account_id = %(account)s AND version = 11"
    )

    report = await audited.verify()

    assert ("order", audited.account_id, 12) in {
        (finding.check, finding.account_id, finding.version) for finding in report.findings
    }


async def test_a_checkpoint_of_a_stranger_is_found(audited: Audited) -> None:
    stranger = SigningKey.generate("holdfast.example/stranger")

    assert checks_of(await audited.verify(trusted=(stranger.verifier,))) == {"signature"}


async def test_damaged_tiles_are_found_and_located(
    database: Database, writer: LedgerWriter, superuser_url: str
) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(1_000_000, account_id))
    for _ in range(6):
        await writer.submit_unit([charge(1, account_id) for _ in range(100)])
    async with database.connection() as connection:
        await seal(connection)
    audited = Audited(database.url, superuser_url, account_id, account_id, "")
    audited.tamper(
        "UPDATE tiles SET nodes = overlay(nodes PLACING sha256('') FROM 32 * 9 + 1) WHERE level = 0 AND index = 1"
    )

    report = await verify(database.url, claims=[], trusted=[], progress=lambda _done, _total: None)

    assert [(finding.check, finding.seq) for finding in report.findings] == [("tree", 266)]
    audited.tamper("DELETE FROM tiles WHERE index = 0")
    report = await verify(database.url, claims=[], trusted=[], progress=lambda _done, _total: None)
    assert [(finding.check, finding.seq) for finding in report.findings] == [("tree", 1), ("tree", 266)]


async def test_the_parts_can_be_checked_on_one_connection(audited: Audited, tmp_path: Path) -> None:
    everyone = AccountRange(UUID(int=0), UUID(int=2**128 - 1))
    async with one_moment(audited.url) as (connection, _):
        whole = await read_whole(connection)
        files = OrderFiles(tmp_path, whole.size)
        reserve(files)
        await write_places(connection, files)
        with Order(files) as order:
            accounts = await check_accounts(connection, everyone, order=order, snapshot=whole.snapshot)
            log = await check_log(connection, (0, whole.size), order=order, claims=[], trusted=[KEY.verifier])

    totals, findings = add_up(whole, [accounts], [log], [])

    assert findings == []
    assert (totals.accounts, accounts.freezes, log.checkpoints) == (2, 6, 1)


async def test_too_little_room_for_temporary_files_is_said_clearly(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def almost_full(_: object) -> SimpleNamespace:
        return SimpleNamespace(free=839)

    monkeypatch.setattr("shutil.disk_usage", almost_full)

    with pytest.raises(CannotReach, match=r"an audit of 21 events needs 840 bytes for temporary files in .*TMPDIR"):
        await audited.verify()


async def test_a_disk_that_fills_up_meanwhile_is_said_clearly(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fills_up(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ops.audit.verify.write_places", fills_up)

    with pytest.raises(CannotReach, match=r"needs 840 bytes .* \(No space left on device\)"):
        await audited.verify()
