"""What nobody can do to the event log, and what the database itself holds to be true."""

from collections.abc import Iterator
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection, errors

from ledger.database import Database
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from ops.services.postgres import APPLICATION, EmbeddedPostgres
from tests.builders import freeze, open_account, reverse, top_up
from tests.ledger_state import check_everything

LOGS = ("events", "sealed", "ticks")


@pytest.fixture
async def account_id(writer: LedgerWriter, database: Database) -> UUID:
    account_id = uuid4()
    for command in (
        open_account(account_id),
        top_up(100, account_id),
        freeze(10, account_id),
        reverse(2, 5, account_id),
    ):
        await writer.submit(command)
    async with database.connection() as connection:
        assert await seal(connection) == 4
    return account_id


@pytest.fixture
def application(postgres: EmbeddedPostgres, database_name: str, account_id: UUID) -> Iterator[Connection]:
    """A session that logged in as the application's role, as production does."""
    with psycopg.connect(postgres.url_for(APPLICATION, database_name), autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner(database_url: str, account_id: UUID) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


CHANGES: list[LiteralString] = [
    "UPDATE events SET amount = amount + 1",
    "UPDATE events SET body = body",
    "DELETE FROM events",
    "TRUNCATE events",
    "TRUNCATE events CASCADE",
    "UPDATE sealed SET position = position + 1000",
    "DELETE FROM sealed",
    "TRUNCATE sealed",
    "UPDATE ticks SET size = 0",
    "DELETE FROM ticks",
    "TRUNCATE ticks",
    "MERGE INTO events USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO sealed (seq, position) SELECT seq, position FROM sealed ON CONFLICT (seq) DO UPDATE SET position = 99",
]

ESCAPES: list[LiteralString] = [
    "ALTER TABLE events DISABLE TRIGGER events_append_only",
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "ALTER TABLE events DROP COLUMN hash",
    "DROP INDEX events_account_command",
    "ALTER TABLE accounts DROP CONSTRAINT accounts_conservation",
    "ALTER TABLE events OWNER TO holdfast_app",
    "DROP TRIGGER events_append_only ON events",
    "DROP TABLE events",
    "DROP FUNCTION refuse_change() CASCADE",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE RULE quiet AS ON INSERT TO events DO INSTEAD NOTHING",
    "CREATE TABLE public.mine (n int)",
    "CREATE SCHEMA mine",
    "SET session_replication_role = 'replica'",
    "SET ROLE holdfast_owner",
    "SET SESSION AUTHORIZATION holdfast_owner",
    "SET ROLE postgres",
    "GRANT holdfast_owner TO holdfast_app",
    "ALTER ROLE holdfast_app SUPERUSER",
    "UPDATE account_owners SET owner = 'me'",
    "DELETE FROM accounts",
    "DELETE FROM lots",
    "DELETE FROM freezes",
    "TRUNCATE accounts",
    "UPDATE schema_migrations SET sha256 = ''",
    "ALTER SEQUENCE events_position_seq RESTART WITH 1",
    "SELECT setval('events_position_seq', 1)",
]


def refusal_of(connection: Connection, statement: LiteralString) -> psycopg.Error:
    try:
        connection.execute(statement)
    except psycopg.Error as refusal:
        return refusal
    return pytest.fail(f"not refused: {statement}")


def test_the_application_cannot_change_what_was_recorded(application: Connection, database_url: str) -> None:
    for statement in CHANGES:
        refusal = refusal_of(application, statement)

        assert isinstance(refusal, errors.InsufficientPrivilege), statement
    check_everything(database_url)


def test_the_application_cannot_free_itself(application: Connection, database_url: str) -> None:
    for statement in ESCAPES:
        refusal = refusal_of(application, statement)

        assert isinstance(refusal, errors.InsufficientPrivilege), statement
    check_everything(database_url)


def test_the_application_cannot_choose_what_the_sealer_finds_an_event_by(application: Connection) -> None:
    choices: list[LiteralString] = [
        "INSERT INTO events (position) OVERRIDING SYSTEM VALUE VALUES (1)",
        "INSERT INTO events (xid) VALUES ('1'::xid8)",
    ]
    for statement in choices:
        refusal = refusal_of(application, statement)

        assert isinstance(refusal, errors.InsufficientPrivilege), statement


def test_the_owner_of_the_tables_is_stopped_by_the_trigger(owner: Connection, database_url: str) -> None:
    for statement in CHANGES:
        refusal = refusal_of(owner, statement)

        assert isinstance(refusal, errors.RestrictViolation), statement
        assert "append-only" in str(refusal)
    check_everything(database_url)


def test_nobody_but_the_application_has_any_right_to_the_logs_and_it_may_read_and_add(owner: Connection) -> None:
    granted = owner.execute(
        "SELECT table_name, grantee, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
        " FROM information_schema.role_table_grants"
        " WHERE table_name = ANY(%s) AND grantee <> current_user GROUP BY table_name, grantee ORDER BY table_name",
        [list(LOGS)],
    ).fetchall()

    addable = owner.execute(
        "SELECT string_agg(column_name, ' ' ORDER BY column_name) FROM information_schema.column_privileges"
        " WHERE table_name = 'events' AND grantee = 'holdfast_app' AND privilege_type = 'INSERT'"
    ).fetchone()

    # Of an event, it may add only what is told by columns; the rest is not its to choose.
    assert granted == [("events", "holdfast_app", "SELECT")] + [
        (log, "holdfast_app", "INSERT SELECT") for log in LOGS if log != "events"
    ]
    assert addable == (
        "account_id amount available_after body command_key frozen_after hash kind recorded_at request_digest version",
    )


def test_every_table_of_the_ledger_belongs_to_the_owner_and_not_to_the_application(owner: Connection) -> None:
    owners = owner.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'v', 'm')"
    ).fetchall()

    assert owners == [("holdfast_owner",)]


VIOLATIONS: list[tuple[LiteralString, str]] = [
    ("UPDATE accounts SET available = available + 1", "accounts_conservation"),
    ("UPDATE accounts SET frozen = frozen + 1", "accounts_conservation"),
    ("UPDATE accounts SET spent = spent + 1", "accounts_conservation"),
    ("UPDATE accounts SET expired = expired + 1", "accounts_conservation"),
    ("UPDATE accounts SET reversed = reversed + 1", "accounts_conservation"),
    ("UPDATE accounts SET credited = credited - 1", "accounts_conservation"),
    ("UPDATE accounts SET frozen = -1, available = available + frozen + 1", "accounts_frozen"),
    ("UPDATE accounts SET spent = -1, available = available + 1", "accounts_counters"),
    ("UPDATE accounts SET expired = -1, available = available + 1", "accounts_counters"),
    ("UPDATE accounts SET reversed = -1, available = available + reversed + 1", "accounts_counters"),
    ("UPDATE accounts SET version = -1", "accounts_version"),
    ("UPDATE accounts SET head = '\\x00'", "accounts_head"),
    ("UPDATE lots SET remaining = -1", "lots_parts"),
    ("UPDATE lots SET frozen = -1", "lots_parts"),
    ("UPDATE lots SET expired = -1", "lots_parts"),
    ("UPDATE lots SET reversed = -1", "lots_parts"),
    ("UPDATE lots SET remaining = amount + 1 - frozen - expired", "lots_whole"),
    ("UPDATE lots SET reversed = amount + 1", "lots_whole"),
    ("UPDATE freezes SET state = 1", "freezes_resolved_once"),
    ("UPDATE freezes SET resolved_at = now()", "freezes_resolved_once"),
    ("UPDATE freezes SET state = 3, resolved_at = now()", "freezes_resolved_once"),
    ("UPDATE freezes SET state = 2, resolved_at = now(), confirmed = 1", "freezes_rolled_back"),
    ("UPDATE freezes SET state = 1, resolved_at = now(), confirmed = amount + 1", "freezes_amount"),
    ("UPDATE freezes SET state = 1, resolved_at = now(), confirmed = -1", "freezes_amount"),
    ("UPDATE freezes SET amount = 0", "freezes_amount"),
    ("UPDATE reversals SET amount = 0", "reversals_parts"),
    ("UPDATE reversals SET debt = -1", "reversals_parts"),
]


def test_the_database_refuses_rows_that_do_not_add_up_whoever_writes_them(owner: Connection) -> None:
    for statement, constraint in VIOLATIONS:
        refusal = refusal_of(owner, statement)

        assert isinstance(refusal, errors.CheckViolation), statement
        assert refusal.diag.constraint_name == constraint, statement


COPY_OF_AN_EVENT: LiteralString = """
    INSERT INTO events (
        account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest,
        body, hash
    )
    SELECT
        account_id, version + %(ahead)s, kind, amount, available_after, %(frozen)s, recorded_at, %(key)s,
        request_digest, body, hash
    FROM events WHERE version = 4
"""


def test_the_log_refuses_a_second_version_a_second_key_and_a_key_out_of_bounds(application: Connection) -> None:
    for ahead, frozen, key, constraint in [
        (0, 0, "new", "events_account_version"),
        (-4, 0, "new", "events_version"),
        (1, -1, "new", "events_frozen_after"),
        (1, 0, "", "events_command_key"),
        (1, 0, "k" * 201, "events_command_key"),
        (1, 0, "holdfast:open", "events_account_command"),
    ]:
        with pytest.raises(errors.IntegrityError) as refused:
            application.execute(COPY_OF_AN_EVENT, {"ahead": ahead, "frozen": frozen, "key": key})

        assert refused.value.diag.constraint_name == constraint
