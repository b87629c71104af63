"""A platform without processes around it: accounts with credits, the catalogue, and what admission needs."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.commands import OpenAccount, TopUp
from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.context import GenerationContext, open_context
from workers.pricing import Prices
from workers.requests import GenerationRequest
from workers.seed import seed_catalogue
from workers.settings import Settings
from workers.templates import seed_templates

CREDIT = 1_000_000
FREE = Prices(input_per_mtok=0, output_per_mtok=0, cache_read_per_mtok=0, cache_write_per_mtok=0)


def settings_for(database_url: str, redis_url: str, environment: Mapping[str, str] | None = None) -> Settings:
    return Settings.from_environment(
        {**(environment or {}), "DATABASE_URL": database_url, "REDIS_URL": redis_url, "HOLDFAST_LOG_LEVEL": "debug"}
    )


@contextlib.asynccontextmanager
async def generation_context(
    database_url: str, redis_url: str, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[GenerationContext]:
    """A context with a seeded catalogue."""
    settings = settings_for(database_url, redis_url, environment)
    async with Database(database_url) as database, LedgerWriter(database_url) as writer:
        await seed_catalogue(database)
        await seed_templates(database)
        async with open_context(settings, database=database, writer=writer) as context:
            yield context


async def account_with(context: GenerationContext, credits_count: float = 1_000) -> UUID:
    """A new account with this many credits."""
    account_id = uuid7()
    await context.writer.submit(OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id)))
    if credits_count:
        amount = round(credits_count * CREDIT)
        await context.writer.submit(TopUp(account_id=account_id, command_key="top-up", amount_microcredits=amount))
    return account_id


def asks_for(
    prompt: str = "one two three", *, model: str = "echo", max_output_tokens: int | None = None, **options: object
) -> GenerationRequest:
    """A request for the echo model; `delay_ms` and the like go into the input."""
    return GenerationRequest(model=model, input={"prompt": prompt, **options}, max_output_tokens=max_output_tokens)


def same_price(per_token_microcredits: int) -> Prices:
    """So many microcredits per token of any kind."""
    price = per_token_microcredits * 1_000_000
    return Prices(input_per_mtok=price, output_per_mtok=price, cache_read_per_mtok=price, cache_write_per_mtok=price)


class Heads:
    """What an account holds now, and what it has spent."""

    def __init__(self, available: int, frozen: int, spent: int) -> None:
        self.available, self.frozen, self.spent = available, frozen, spent


def heads_of(database_url: str, account_id: UUID) -> Heads:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT available, frozen, spent FROM accounts WHERE id = %s", [account_id]).fetchone()
    assert row is not None
    return Heads(*row)


def freeze_states(database_url: str, account_id: UUID) -> list[int]:
    """0 open, 1 confirmed, 2 rolled back; in order of admission."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT state FROM freezes WHERE account_id = %s ORDER BY id", [account_id]
        ).fetchall()
    return [row[0] for row in rows]


def kinds_of(database_url: str, account_id: UUID) -> list[int]:
    """The kinds of all events of the account, in order."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT kind FROM events WHERE account_id = %s ORDER BY version", [account_id]
        ).fetchall()
    return [row[0] for row in rows]
