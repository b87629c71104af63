"""The `holdfast` command as a program: what it prints, and its exit status."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from ops.instance import DataDirectory, Description
from ops.services.postgres import EmbeddedPostgres

SMALL = {"shared_buffers": "16MB", "max_connections": "20"}
TIMEOUT_S = 60


class Ran(msgspec.Struct, frozen=True):
    """What one run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.out)


async def holdfast(*words: str, data_dir: Path | None, **environment: str) -> Ran:
    """Run the command; `data_dir` is `None` for those that have none."""
    if data_dir is not None:
        words = (*words, f"--data-dir={data_dir}")
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**inherited, **environment},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def diagnosed(data_dir: Path) -> dict[str, str]:
    ran = await holdfast("doctor", "--json", data_dir=data_dir)
    return {finding["name"]: finding["state"] for finding in ran.document["findings"]}


def is_one_clear_line(text: str) -> bool:
    return len(text.strip().splitlines()) == 1 and "Traceback" not in text


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An instance that is up as far as other commands can tell: a locked data directory with a migrated database."""
    directory = DataDirectory(tmp_path_factory.mktemp("instance"))
    with asyncio.Runner() as runner:
        opened = contextlib.AsyncExitStack()
        try:
            runner.run(opened.enter_async_context(directory.locked(wait_s=0)))
            postgres = runner.run(opened.enter_async_context(EmbeddedPostgres(directory.path, settings=SMALL)))
            directory.describe(Description(os.getpid(), "http://127.0.0.1:1", postgres.app_url, postgres.owner_url, ""))
            migrated = runner.run(holdfast("migrate", data_dir=directory.path))
            assert migrated.status == 0, migrated.err
            yield directory.path
        finally:
            runner.run(opened.aclose())


@pytest.fixture
def owner() -> str:
    return f"owner-{uuid4()}"


async def test_migrating_twice_finds_nothing_to_do(data_dir: Path) -> None:
    again = await holdfast("migrate", "--json", data_dir=data_dir)

    assert again.document == {"applied": [], "models_added": []}


async def test_an_account_is_opened_topped_up_corrected_and_shown(data_dir: Path, owner: str) -> None:
    created = await holdfast("accounts", "create", owner, "--json", data_dir=data_dir)
    await holdfast("accounts", "top-up", owner, "12.5", "--paid", "9.90", "EUR", data_dir=data_dir)
    await holdfast("accounts", "adjust", owner, "-2.25", "--reason", "typo", data_dir=data_dir)

    shown = await holdfast("accounts", "show", created.document["id"], "--json", data_dir=data_dir)

    assert shown.document["owner"] == owner
    assert shown.document["available"] == "10.25"


async def test_opening_the_account_of_an_owner_again_finds_the_same(data_dir: Path, owner: str) -> None:
    first = await holdfast("accounts", "create", owner, "--json", data_dir=data_dir)
    second = await holdfast("accounts", "create", owner, "--json", data_dir=data_dir)

    assert first.document["id"] == second.document["id"]


async def test_the_same_idempotency_key_tops_up_once(data_dir: Path, owner: str) -> None:
    await holdfast("accounts", "create", owner, data_dir=data_dir)
    words = ("accounts", "top-up", owner, "5", "--idempotency-key", "invoice-1", "--json")

    first, second = [await holdfast(*words, data_dir=data_dir) for _ in range(2)]

    assert first.document == second.document
    assert first.document["available_after"] == "5"


async def test_what_the_ledger_refuses_is_exit_status_1_and_names_the_code(data_dir: Path, owner: str) -> None:
    await holdfast("accounts", "create", owner, data_dir=data_dir)

    refused = await holdfast("accounts", "adjust", owner, "-1", "--reason", "too much", data_dir=data_dir)

    assert refused.status == 1
    assert "insufficient_credits" in refused.err
    assert is_one_clear_line(refused.err)


@pytest.mark.parametrize("amount", ["1e5", "NaN", "0", "0.0000001", "1.", " 1"])
async def test_an_amount_that_is_none_is_refused(data_dir: Path, amount: str, owner: str) -> None:
    await holdfast("accounts", "create", owner, data_dir=data_dir)

    refused = await holdfast("accounts", "top-up", owner, amount, data_dir=data_dir)

    assert refused.status == 1
    assert "invalid_amount" in refused.err


async def test_a_key_of_the_platforms_own_is_refused_as_usage(data_dir: Path) -> None:
    refused = await holdfast(
        "accounts", "top-up", "alice", "1", "--idempotency-key", "holdfast:demo", data_dir=data_dir
    )

    assert refused.status == 2


async def test_an_unknown_owner_is_exit_status_1(data_dir: Path) -> None:
    unknown = await holdfast("accounts", "show", "nobody", data_dir=data_dir)

    assert unknown.status == 1
    assert is_one_clear_line(unknown.err)


async def test_a_key_is_made_listed_without_its_secret_and_revoked(data_dir: Path) -> None:
    made = await holdfast("keys", "create", "--role", "admin", "--name", "ops", "--json", data_dir=data_dir)
    secret = made.document["key"]

    revoked = await holdfast("keys", "revoke", made.document["id"], data_dir=data_dir)
    listed = await holdfast("keys", "list", "--json", data_dir=data_dir)

    assert revoked.status == 0
    assert listed.document["items"][0]["id"] == made.document["id"]
    assert listed.document["items"][0]["revoked_at"] is not None
    assert secret.split("_", 2)[2] not in listed.out


async def test_revoking_a_key_that_is_not_there_is_exit_status_1(data_dir: Path) -> None:
    assert (await holdfast("keys", "revoke", str(uuid4()), data_dir=data_dir)).status == 1


async def test_a_user_key_without_an_account_is_a_usage_error(data_dir: Path) -> None:
    assert (await holdfast("keys", "create", "--role", "user", "--name", "x", data_dir=data_dir)).status == 2


async def test_doctor_finds_a_migrated_embedded_database_fine(data_dir: Path) -> None:
    findings = await diagnosed(data_dir)

    assert findings["append-only events"] == "fine"
    assert findings["migrations"] == "fine"
    assert findings["durable commits"] == "fine"


@pytest.mark.parametrize(
    ("harm", "remedy"),
    [
        (b"GRANT UPDATE ON events TO holdfast_app", b"REVOKE UPDATE ON events FROM holdfast_app"),
        (b"GRANT DELETE ON events TO public", b"REVOKE DELETE ON events FROM public"),
        (
            b"ALTER TABLE events DISABLE TRIGGER events_append_only",
            b"ALTER TABLE events ENABLE TRIGGER events_append_only",
        ),
        (b"ALTER ROLE holdfast_app SUPERUSER", b"ALTER ROLE holdfast_app NOSUPERUSER"),
    ],
)
async def test_doctor_notices_when_events_could_be_changed(data_dir: Path, harm: bytes, remedy: bytes) -> None:
    url = EmbeddedPostgres(data_dir).superuser_url
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(harm)
        try:
            assert (await diagnosed(data_dir))["append-only events"] == "wrong"
        finally:
            await connection.execute(remedy)


async def test_doctor_says_that_it_cannot_reach_a_server_that_is_down(data_dir: Path) -> None:
    ran = await holdfast("doctor", "--json", data_dir=data_dir, REDIS_URL="redis://127.0.0.1:1/0")

    assert ran.status == 3
    assert "redis" in ran.err


async def test_doctor_without_a_problem_of_reach_is_exit_status_1_when_a_check_fails(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    async with EmbeddedPostgres(directory.path, settings=SMALL):
        pass

    ran = await holdfast("doctor", data_dir=directory.path)

    assert ran.status == 1
    assert "holdfast migrate" in ran.out


async def test_without_any_database_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    ran = await holdfast("accounts", "show", "alice", data_dir=tmp_path / "none")

    assert ran.status == 3
    assert "holdfast up" in ran.err
    assert is_one_clear_line(ran.err)


@pytest.mark.parametrize("command", [("accounts", "show", "alice"), ("migrate",), ("up", "--port", "0")])
async def test_an_unreachable_database_is_one_line_without_the_password(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ran = await holdfast(*command, data_dir=tmp_path, DATABASE_URL="postgresql://u:hunter2secret@127.0.0.1:1/x")

    assert ran.status == 3
    assert is_one_clear_line(ran.err)
    assert "hunter2secret" not in ran.err


async def test_a_malformed_database_url_is_one_line(tmp_path: Path) -> None:
    ran = await holdfast("migrate", data_dir=tmp_path, DATABASE_URL="garbage")

    assert ran.status == 3
    assert is_one_clear_line(ran.err)


async def test_an_unreachable_redis_is_one_line(data_dir: Path, tmp_path: Path) -> None:
    running = DataDirectory(data_dir).running()
    assert running is not None

    ran = await holdfast(
        "up", "--port", "0", data_dir=tmp_path / "other",
        DATABASE_URL=running.database_url, REDIS_URL="redis://:hunter2secret@127.0.0.1:1/0",
    )  # fmt: skip

    assert ran.status == 3
    assert "Redis" in ran.err
    assert is_one_clear_line(ran.err)
    assert "hunter2secret" not in ran.err


async def test_a_data_directory_in_use_is_one_line_that_names_the_holder(data_dir: Path) -> None:
    ran = await holdfast("up", "--port", "0", data_dir=data_dir)

    assert ran.status == 3
    assert f"process {os.getpid()}" in ran.err
    assert is_one_clear_line(ran.err)


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async with server:
        ran = await holdfast("up", "--port", str(port), data_dir=tmp_path)

    assert ran.status == 3
    assert str(port) in ran.err
    assert is_one_clear_line(ran.err)


async def test_a_setting_that_makes_no_sense_is_exit_status_2(tmp_path: Path) -> None:
    ran = await holdfast("up", "--port", "0", data_dir=tmp_path, HOLDFAST_BOOTSTRAP_ADMIN_KEY="short")

    assert ran.status == 2
    assert "HOLDFAST_BOOTSTRAP_ADMIN_KEY" in ran.err
    assert is_one_clear_line(ran.err)


async def test_a_setting_of_a_gateway_that_makes_no_sense_keeps_the_api_from_starting() -> None:
    settings = {"DATABASE_URL": "postgresql:///none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    paddle = {"PADDLE_API_KEY": "pdl_x", "PADDLE_WEBHOOK_SECRET": "secret", "PADDLE_TAX_CATEGORY": "nonsense"}
    ran = await holdfast("web", data_dir=None, HOLDFAST_JWT_SECRET="x" * 40, **settings, **paddle)

    assert ran.status == 2
    assert "PADDLE_TAX_CATEGORY" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
