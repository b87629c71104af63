"""The embedded Postgres: what a fresh, a crashed, a deep or an odd data directory leads to."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from ops.errors import CannotReach
from ops.services.identity import Identity, dropped_to, in_namespace, unprivileged_user
from ops.services.postgres import EmbeddedPostgres
from ops.services.process import command_line
from tests.waiting import eventually

SMALL = {"shared_buffers": "16MB", "max_connections": "20"}


def small_postgres(data_dir: Path, identity: Identity | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, settings=SMALL, identity=identity)


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with small_postgres(tmp_path / "data") as started:
        yield started


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_private(path: Path) -> None:
    path.chmod(0o700)


def owner_of(path: Path) -> int:
    return path.stat().st_uid


async def asked(url: str, question: bytes) -> object:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(question)).fetchone()
        return None if row is None else row[0]


async def told(url: str, *statements: bytes) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_each_url_logs_in_as_its_own_role(postgres: EmbeddedPostgres) -> None:
    assert await asked(postgres.owner_url, b"SELECT current_user::text") == "holdfast_owner"
    assert await asked(postgres.app_url, b"SELECT current_user::text") == "holdfast_app"
    assert await asked(postgres.superuser_url, b"SELECT current_user::text") == "postgres"


async def test_neither_owner_nor_application_is_a_superuser(
    postgres: EmbeddedPostgres,
) -> None:
    question = b"SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname LIKE 'holdfast%'"

    assert await asked(postgres.superuser_url, question) == 0


async def test_the_application_cannot_read_what_the_owner_did_not_grant(
    postgres: EmbeddedPostgres,
) -> None:
    await told(postgres.owner_url, b"CREATE TABLE secret (n int)")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await asked(postgres.app_url, b"SELECT n FROM secret")


async def test_commits_are_durable_by_default(postgres: EmbeddedPostgres) -> None:
    for setting in (b"fsync", b"synchronous_commit", b"full_page_writes"):
        assert await asked(postgres.app_url, b"SHOW " + setting) == "on"


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
async def test_a_restart_of_any_kind_keeps_the_data_and_the_address(postgres: EmbeddedPostgres, mode: str) -> None:
    url = postgres.owner_url
    await told(url, b"CREATE TABLE kept (n int)", b"INSERT INTO kept VALUES (41), (1)")

    await postgres.restart(mode)  # pyright: ignore[reportArgumentType] - parametrized literals

    assert postgres.owner_url == url
    assert await asked(url, b"SELECT sum(n)::int FROM kept") == 42


async def test_a_pid_file_naming_a_living_stranger_does_not_stop_the_start(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    pid_file = tmp_path / "data" / "postgres" / "postmaster.pid"
    left_behind = pid_file.read_text().split("\n")
    socket_lock = tmp_path / "data" / "run" / ".s.PGSQL.5432.lock"
    await postgres.stop("kill")
    for lock in (pid_file, socket_lock):
        lock.write_text("\n".join([str(os.getpid()), *left_behind[1:]]))

    await postgres.start()

    assert await asked(postgres.app_url, b"SELECT 1") == 1


async def test_a_server_left_running_by_a_killed_instance_is_replaced(
    tmp_path: Path,
) -> None:
    abandoned = small_postgres(tmp_path)
    await abandoned.start()

    async with small_postgres(tmp_path) as successor:
        assert not abandoned.running
        assert await asked(successor.app_url, b"SELECT 1") == 1


async def test_a_cluster_that_was_begun_and_not_finished_is_made_again(
    tmp_path: Path,
) -> None:
    unfinished = tmp_path / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    async with small_postgres(tmp_path) as postgres:
        assert await asked(postgres.app_url, b"SELECT 1") == 1


@pytest.mark.parametrize("name", ["deep/" * 40, "a b, c\"d'é"])
async def test_a_deep_or_oddly_named_directory_works(tmp_path: Path, name: str) -> None:
    async with small_postgres(tmp_path / name) as postgres:
        assert await asked(postgres.app_url, b"SELECT 1") == 1


async def test_a_failed_start_says_what_postgres_said(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "many"})

    with pytest.raises(CannotReach, match="shared_buffers"):
        await postgres.start()


async def test_postgres_ends_when_the_process_that_started_it_is_killed(
    tmp_path: Path,
) -> None:
    script = (
        "import asyncio, signal, sys\n"
        "from pathlib import Path\n"
        "from ops.services.postgres import EmbeddedPostgres\n"
        "postgres = EmbeddedPostgres(Path(sys.argv[1]), settings={'shared_buffers': '16MB'})\n"
        "asyncio.run(postgres.start())\n"
        "print(postgres.pid, flush=True)\n"
        "signal.pause()\n"
    )
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())

    owner.kill()
    await owner.wait()

    await eventually(lambda: not command_line(pid))


# Nobody but root can become somebody else; for everybody else there is nothing to choose.
if os.geteuid() == 0:

    @pytest.mark.parametrize("identity", [in_namespace(unprivileged_user()), dropped_to(unprivileged_user())])
    async def test_root_runs_it_as_somebody_else_below_a_private_directory(tmp_path: Path, identity: Identity) -> None:
        make_private(tmp_path)

        async with small_postgres(tmp_path / "data", identity) as postgres:
            assert await asked(postgres.app_url, b"SELECT 1") == 1
            assert mode_of(tmp_path) == 0o700

    async def test_a_cluster_another_user_began_is_served_as_that_user(
        tmp_path: Path,
    ) -> None:
        user = unprivileged_user()
        async with small_postgres(tmp_path, dropped_to(user)) as postgres:
            await told(postgres.owner_url, b"CREATE TABLE kept (n int)")

        async with small_postgres(tmp_path) as postgres:
            assert owner_of(Path(f"/proc/{postgres.pid}")) == user.pw_uid
            assert await asked(postgres.owner_url, b"SELECT count(*) FROM kept") == 0
