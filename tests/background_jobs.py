"""Generations whose provider works in the background, one process of ours at a time, without a worker around them."""

import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from tests.generations import account_with, asks_for, same_price
from tests.media_calls import media_request
from workers.admission import admit
from workers.claims import claim_generation
from workers.context import GenerationContext
from workers.finishing import Finish, finish_generation, guard_attempt
from workers.generations import GenerationStatus
from workers.leases import Lease
from workers.pricing import Prices
from workers.providers import ProviderRequest, Usage
from workers.settlement import EndedAs, Ending
from workers.streams.terminal import Failure, Terminal
from workers.upstream_jobs import JobHandle, UpstreamJobs

PUBLIC_URL = "https://holdfast.example"
MODEL = "echo"
"""Has a price and is always there. What its provider is does not matter to a job."""

COSTS = Prices(per_compute_second=10_000, per_image=500, per_second=2_000)
TIMED_OUT = Failure(code="timed_out", message="The model took too long to answer. Please try again.")


async def claimed(context: GenerationContext) -> Lease:
    """A generation that a worker has taken up, with a freeze on an account of its own."""
    price = await context.catalogue.set_price(MODEL, prices=same_price(100), costs=COSTS, changed_by="test")
    account_id = await account_with(context)
    generation = (await admit(context, account_id, asks_for(), request_id="r")).generation
    assert generation.price_version == price.version
    return await claimed_again(context, generation.id, account_id)


async def claimed_again(context: GenerationContext, generation_id: UUID, account_id: UUID) -> Lease:
    """The lease of the next attempt, by another worker."""
    with psycopg.connect(context.database.url) as connection:
        connection.execute(
            "UPDATE generations SET status = 0, lease_until = NULL WHERE id = %s AND status = 1", [generation_id]
        )
    claim = await claim_generation(context.database, generation_id, account_id=account_id, owner=uuid4())
    assert claim is not None
    return Lease(claim)


async def opened(
    jobs: UpstreamJobs, provider: Any, lease: Lease, *, request: ProviderRequest | None = None, call: int = 1
) -> JobHandle:
    """The handle of a call."""
    version = lease.claim.price_version
    asked = request or media_request(model="fake-labs/painter" if provider.name == "replicate" else "fal-ai/fake/film")
    return await jobs.open(lease, call, provider, asked, model=MODEL, price_version=version)


async def finish(
    context: GenerationContext, lease: Lease, ended_as: EndedAs, *, usage: Usage | None = None
) -> Terminal | None:
    """End the generation as the worker of this lease does."""
    claim = lease.claim
    prices, _ = await context.catalogue.price(MODEL, claim.price_version)
    ending = Ending(ended_as=ended_as, usage=usage, error=TIMED_OUT if ended_as == "failed" else None)
    return await finish_generation(
        context.database,
        context.writer,
        Finish(
            generation_id=claim.generation_id,
            account_id=claim.account_id,
            guard=guard_attempt(
                claim.generation_id, claim.account_id, attempt=claim.attempt, status=GenerationStatus.running
            ),
            end_epoch=claim.attempt,
            end_seq=2,
            text="",
            ending=ending,
            frozen_microcredits=claim.frozen_microcredits,
            prices=prices,
        ),
    )


def jobs_in(context: GenerationContext) -> list[dict[str, Any]]:
    """All rows of `upstream_jobs`, oldest first."""
    with psycopg.connect(context.database.url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM upstream_jobs ORDER BY attempt, call").fetchall()


def entries_in(context: GenerationContext) -> list[dict[str, Any]]:
    """All rows of `reconciliation_entries`, oldest first."""
    with psycopg.connect(context.database.url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT * FROM reconciliation_entries ORDER BY id").fetchall()


def make_due(context: GenerationContext, *, older_by: str = "0 s") -> None:
    """Let the jobs that were left be due now, and have been left so much longer ago."""
    with psycopg.connect(context.database.url) as connection:
        connection.execute(
            "UPDATE upstream_jobs SET ask_at = now() - interval '1 s', ended_at = ended_at - %s::interval"
            " WHERE state = 2",
            [older_by],
        )
        connection.execute(
            "UPDATE upstream_jobs SET ask_at = now() - interval '1 s' WHERE state < 2 AND ask_at IS NOT NULL"
        )


def at(offset_s: float = 0.0) -> float:
    """A time for a signature."""
    return time.time() + offset_s
