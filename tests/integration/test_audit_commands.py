"""`holdfast audit verify|checkpoint|prove|check-proof|replay|key` as programs: what they print, and how they exit."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ledger.commands import Charge
from ledger.database import Database
from ledger.notes import SigningKey, VerifierKey
from ledger.proofs import Proof, check
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from projections.catalogue import PROJECTIONS
from tests.builders import charge, open_account, top_up
from tests.projected import bring_up
from workers.checkpoints.files import FilePlace
from workers.checkpoints.publisher import FOLDER, Publisher

TIMEOUT_S = 60
KEY = SigningKey.generate("holdfast.example/test")
CREDIT = 1_000_000


class Ran(msgspec.Struct, frozen=True):
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)


class Books:
    """A published log, and the command that audits it."""

    def __init__(self, url: str, data_dir: Path, account_id: UUID) -> None:
        self.url = url
        self.data_dir = data_dir
        self.account_id = account_id

    async def audit(self, *words: str, module: str = "ops", **environment: str) -> Ran:
        command = (sys.executable, "-m", module, *(("audit",) if module == "ops" else ()), *words)
        given = {"DATABASE_URL": self.url, "HOLDFAST_DATA_DIR": str(self.data_dir), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**given, **environment}
        )
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    def write(self, name: str, text: str) -> str:
        path = self.data_dir / name
        path.write_text(text, encoding="utf-8")
        return str(path)


async def spend(database: Database, writer: LedgerWriter, account_id: UUID, *commands: Charge) -> None:
    for command in commands:
        await writer.submit(command)
    async with database.connection() as connection:
        await seal(connection)


@pytest.fixture
async def books(database: Database, writer: LedgerWriter, tmp_path: Path) -> Books:
    """Three events in a published checkpoint, and two more in a second one that is kept as `latest`."""
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(10 * CREDIT, account_id))
    publisher = Publisher(KEY, [FilePlace(tmp_path / FOLDER, KEY.verifier)])
    await spend(database, writer, account_id, charge(CREDIT, account_id))
    await publisher.publish(database)
    (tmp_path / "old").write_text((tmp_path / FOLDER / "latest").read_text())
    await spend(database, writer, account_id, charge(CREDIT, account_id), charge(2 * CREDIT, account_id))
    await publisher.publish(database)
    return Books(database.url, tmp_path, account_id)


def tamper(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statement.encode())


async def test_a_log_in_order_passes_with_an_old_checkpoint(books: Books) -> None:
    told = await books.audit("verify", "--checkpoint", str(books.data_dir / "old"))
    document = (await books.audit("verify", "--json")).document

    assert told.status == 0
    assert "everything is in order" in told.out
    assert "signatures checked" in told.out
    assert "credited 10 = available 6 + frozen 0 + spent 4 + expired 0 + reversed 0" in told.out
    assert (document["ok"], document["events"], document["checkpoints"]) == (True, 5, 2)


async def test_the_first_wrong_event_is_named_and_the_command_fails(books: Books, superuser_url: str) -> None:
    tamper(superuser_url, "UPDATE events SET amount = amount + 1 WHERE version = 3")

    told = await books.audit("verify")
    document = (await books.audit("verify", "--json")).document

    assert told.status == 1
    assert f"chain seq 3 {books.account_id}:3" in told.err
    assert "NOT IN ORDER" in told.out
    assert document["ok"] is False
    assert (document["findings"][0]["seq"], document["findings"][0]["version"]) == (3, 3)


async def test_a_changed_row_of_a_read_model_is_named_and_the_command_fails(
    books: Books, database: Database, superuser_url: str
) -> None:
    await bring_up(database, *PROJECTIONS)
    fine = await books.audit("verify")
    tamper(superuser_url, "UPDATE journal_lines SET booked_on = booked_on - 1 WHERE seq = 4")

    told = await books.audit("verify")

    assert (fine.status, told.status) == (0, 1)
    assert "read models: analytics of 5 events, balances of 5 events" in fine.out
    assert f"journal seq 4 {books.account_id}: line 1 of its entry is not what the event makes" in told.out


async def test_a_restore_behind_what_was_published_is_reported_without_being_asked(
    books: Books, superuser_url: str
) -> None:
    tamper(superuser_url, "DELETE FROM events WHERE version > 3")
    tamper(superuser_url, "DELETE FROM sealed WHERE seq > 3")
    tamper(superuser_url, "DELETE FROM ticks WHERE size > 3")
    tamper(superuser_url, "DELETE FROM checkpoints WHERE size > 3")
    tamper(
        superuser_url,
        "UPDATE accounts SET version = 3, head = hash, available = available_after, spent = 1000000"
        " FROM events WHERE events.account_id = accounts.id AND events.version = 3",
    )
    tamper(superuser_url, "UPDATE lots SET remaining = 9000000")

    told = await books.audit("verify")

    assert told.status == 1
    assert "covers 5 events and 3 are sealed" in told.err


@pytest.mark.parametrize("content", ["nonsense", "\n", "\N{EM DASH} x y\n"])
async def test_a_checkpoint_that_is_none_is_a_finding(books: Books, content: str) -> None:
    told = await books.audit("verify", "--checkpoint", books.write("odd", content))

    assert told.status == 1
    assert "signature" in told.err


async def test_a_database_that_is_away_is_status_three(books: Books) -> None:
    told = await books.audit("verify", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert told.status == 3
    assert told.err.count("\n") == 1


async def test_a_proof_is_checked_without_a_database(books: Books) -> None:
    proof = await books.audit("prove", f"{books.account_id}:3", "--checkpoint", str(books.data_dir / "old"))
    by_seq = await books.audit("prove", "3", "--checkpoint", str(books.data_dir / "old"))
    file = books.write("proof", proof.out)
    key, old = str(books.data_dir / FOLDER / "verifier.key"), str(books.data_dir / "old")

    checked = await books.audit("check-proof", file, "--checkpoint", old, "--key", key, DATABASE_URL="")
    offline = await books.audit(file, key, old, module="ledger.check_proof", DATABASE_URL="")

    assert proof.out == by_seq.out
    assert check(Proof.parse(proof.out), [KEY.verifier]).event.kind == "credits_charged"
    assert (checked.status, offline.status) == (0, 0)
    assert checked.out == offline.out
    assert f"{books.account_id}:3" in offline.out


async def test_a_proof_under_another_key_is_not_accepted(books: Books) -> None:
    file = books.write("proof", (await books.audit("prove", "1")).out)
    stranger = str(SigningKey.generate("holdfast.example/stranger").verifier)

    refused = await books.audit("check-proof", file, "--key", stranger)

    assert refused.status == 1
    assert "no trusted key" in refused.err


@pytest.mark.parametrize("event", ["6", "0", "nonsense", "00000000-0000-0000-0000-000000000000:1", "x:1"])
async def test_what_is_not_there_cannot_be_proven(books: Books, event: str) -> None:
    told = await books.audit("prove", event)

    assert (told.status, told.out) == (1, "")


async def test_the_last_checkpoint_is_printed_as_it_was_signed(books: Books) -> None:
    told = await books.audit("checkpoint")

    assert told.out == (books.data_dir / FOLDER / "latest").read_text()


async def test_two_places_are_replayed_side_by_side(books: Books) -> None:
    words = ("replay", "--account", str(books.account_id), "--seq", "2", "--seq", "5")

    told = await books.audit(*words)
    document = (await books.audit(*words, "--json")).document

    assert [state["available"] for state in document["states"]] == ["10", "6"]
    assert document["states"][1]["lots"][0]["remaining"] == "6"
    line = next(line for line in told.out.splitlines() if "available" in line)
    assert line.split() == ["available", "10", "6", "-4"]


async def test_everything_is_replayed_at_a_time(books: Books) -> None:
    document = (await books.audit("replay", "--at", "2020-01-01T00:00:00Z", "--at", "2100-01-01", "--json")).document

    assert [state["events"] for state in document["states"]] == [0, 5]
    assert [state["spent"] for state in document["states"]] == ["0", "4"]
    assert (await books.audit("replay", "--at", "yesterday")).status == 2
    assert (await books.audit("replay", "--seq", "1", "--seq", "2", "--seq", "3")).status == 2


async def test_the_key_that_auditors_need_is_printed_and_a_new_one_made(books: Books) -> None:
    known = await books.audit("key")
    made = (await books.audit("key", "--new", "example.com/log", "--json")).document
    odd = await books.audit("key", "--new", "two words")

    assert known.out.strip() == str(KEY.verifier)
    assert SigningKey.parse(made["signing_key"]).verifier == VerifierKey.parse(made["verifier_key"])
    assert odd.status == 2
