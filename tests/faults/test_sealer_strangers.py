"""The sealer among strangers: nobody waits for whoever holds a transaction open, anywhere in the cluster."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

import migrations
from ledger import database
from ledger.sealer import Sealer
from ops.services.postgres import OWNER, EmbeddedPostgres
from tests.sealed_state import check_sealed

WRITERS = 8
ROUNDS = 40
WITHOUT_WAITING_S = 20
"""The strangers hold their transactions for as long as anything is written: who waits for them waits for ever."""
INSERT = b"""
    INSERT INTO events (
        account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest,
        body, hash
    ) VALUES (%s, %s, 1, 0, 0, 0, now(), %s, 0, '', sha256(%s))
"""


@pytest.fixture
async def postgres_of_strangers(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A cluster in which transactions can be prepared."""
    async with EmbeddedPostgres(tmp_path, settings={"max_prepared_transactions": "4"}) as server:
        await migrations.apply(server.url_for(OWNER))
        yield server


async def write(url: str, *, seed: int) -> int:
    """Append events, some in transactions that are rolled back; return how many are there."""
    choice, account_id, version = random.Random(seed), uuid4(), 0
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for _ in range(ROUNDS):
            count = choice.randint(1, 4)
            for number in range(1, count + 1):
                key = f"{version + number} {choice.random()}"
                await connection.execute(INSERT, [account_id, version + number, key, key.encode()])
            await asyncio.sleep(0)
            if choice.random() < 0.1:
                await connection.rollback()
            else:
                await connection.commit()
                version += count
    return version


def hold(connection: psycopg.Connection, account_id: UUID) -> None:
    connection.execute(INSERT, [account_id, 1, "held", b"held"])


async def test_every_event_is_sealed_once_and_none_waits_for_strangers(
    postgres_of_strangers: EmbeddedPostgres,
) -> None:
    url = postgres_of_strangers.url_for(OWNER)
    with contextlib.ExitStack() as strangers:
        held, prepared = (strangers.enter_context(psycopg.connect(url)) for _ in range(2))
        elsewhere = strangers.enter_context(psycopg.connect(postgres_of_strangers.url_for("postgres", "postgres")))
        hold(held, uuid4())
        hold(prepared, uuid4())
        prepared.execute("PREPARE TRANSACTION 'left behind'")
        elsewhere.execute("CREATE TABLE idle (x int)")
        writing = asyncio.gather(*[write(url, seed=seed) for seed in range(WRITERS)])
        sealed, slowest_s, sealer = 0, 0.0, Sealer()
        async with await database.connect(url) as connection:
            while not writing.done():
                began = time.monotonic()
                sealed += await sealer.seal(connection)
                slowest_s = max(slowest_s, time.monotonic() - began)
                await asyncio.sleep(0.005)
            written = sum(await writing)
            sealed += await sealer.seal(connection)

            assert sealed == written
            assert slowest_s < WITHOUT_WAITING_S
            check_sealed(url, complete=False)

            held.commit()
            assert await sealer.seal(connection) == 1
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("COMMIT PREPARED 'left behind'")
            assert await sealer.seal(connection) == 1
            elsewhere.rollback()
    assert check_sealed(url) == written + 2
