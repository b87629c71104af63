"""Sending again what nobody took up, without making a long queue longer."""

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from tests.generations import account_with, asks_for, generation_context
from tests.waiting import eventually
from workers import admission, outbox
from workers.admission import admit
from workers.claims import claim_generation
from workers.context import GenerationContext
from workers.generations import read_queue_depth
from workers.outbox import BUSY_PATIENCE_S, resend_outbox

PAUSE_S = 60
"""What is given time here: more than a slow machine takes from one line to the next."""


@pytest.fixture
async def context(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GenerationContext]:
    for module, name in ((admission, "RESEND_AFTER_S"), (outbox, "RESEND_AFTER_S"), (outbox, "LONGEST_S")):
        monkeypatch.setattr(module, name, PAUSE_S)
    async with generation_context(database_url, redis_url) as context:
        yield context


async def ask(context: GenerationContext, account_id: UUID) -> UUID:
    return (await admit(context, account_id, asks_for(), request_id="r")).generation.id


async def until_depth(context: GenerationContext, depth: int) -> None:
    async def has_depth() -> bool:
        return await context.queue.depth() == depth

    await eventually(has_depth)


def let_time_pass(context: GenerationContext, seconds: int) -> None:
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE outbox SET due_at = due_at - make_interval(secs => %s)", [seconds])


async def test_what_was_just_sent_is_given_time(context: GenerationContext) -> None:
    await ask(context, await account_with(context))
    await until_depth(context, 1)
    await context.redis.execute_command("FLUSHALL")  # pyright: ignore[reportUnknownMemberType]  # not typed

    assert await resend_outbox(context) == 0


async def test_a_forgotten_message_is_sent_again_and_then_given_time(context: GenerationContext) -> None:
    await ask(context, await account_with(context))
    await until_depth(context, 1)
    await context.redis.execute_command("FLUSHALL")  # pyright: ignore[reportUnknownMemberType]  # not typed
    let_time_pass(context, PAUSE_S + 1)

    done = [await resend_outbox(context), await resend_outbox(context)]

    assert done == [1, 0]
    await until_depth(context, 1)


async def test_while_messages_wait_nothing_is_sent_twice(context: GenerationContext) -> None:
    account_id = await account_with(context)
    for _ in range(3):
        await ask(context, account_id)
    await until_depth(context, 3)
    let_time_pass(context, PAUSE_S + 1)

    assert await resend_outbox(context) == 0
    assert await read_queue_depth(context.database) == 3


async def test_even_while_messages_wait_ours_is_not_forgotten_for_ever(context: GenerationContext) -> None:
    await ask(context, await account_with(context))
    await until_depth(context, 1)
    let_time_pass(context, PAUSE_S + BUSY_PATIENCE_S)

    assert await resend_outbox(context) == 1


async def test_a_claimed_generation_is_never_sent_again(context: GenerationContext) -> None:
    account_id = await account_with(context)
    generation_id = await ask(context, account_id)
    await claim_generation(context.database, generation_id, account_id=account_id, owner=UUID(int=1))

    assert await read_queue_depth(context.database) == 0
