"""Cancelling a generation because its owner wants it."""

from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.batch import Statement
from workers.context import GenerationContext
from workers.finishing import Finish, finish_generation, guard_attempt
from workers.generations import Figures, Generation, GenerationStatus, get_generation, sql
from workers.notices import publish_cancel
from workers.sessions import append_answer
from workers.settlement import Ending
from workers.streams.content import NOTHING, Content
from workers.streams.recovery import announce_end, recover_text
from workers.streams.terminal import UNWRITTEN_END_SEQ, Terminal

_log = structlog.stdlib.get_logger(__name__)


async def cancel_generation(
    context: GenerationContext, generation_id: UUID, *, account_id: UUID | None = None
) -> Generation:
    """Cancel a generation and return it as it is now.

    One that no worker has taken up ends here, at no cost. One that runs is stopped by its worker, who settles what was
    delivered: at once if the notice arrives, within a heartbeat if it is lost. One that has ended stays as it is; a
    second call changes nothing.

    Raises:
        GenerationNotFound: there is none, or it is another account's.
        Contended: the database could not take it now; the wish is recorded all the same.
    """
    generation = await get_generation(context.database, generation_id, account_id=account_id)
    if generation.status.is_terminal:
        return generation
    ids = {"id": generation.id, "account_id": generation.account_id}
    async with context.database.connection() as connection:
        row = await (await connection.execute(sql.REQUEST_CANCEL, ids)).fetchone()
    if row is not None:
        status, attempt, input_length = row
        # A worker that claims it first finds the wish in its claim, and the guard refuses us.
        if status != GenerationStatus.queued or not await _end_queued(context, generation, attempt, input_length):
            await publish_cancel(context.redis, generation.id)
    return await get_generation(context.database, generation_id)


async def _end_queued(
    context: GenerationContext, generation: Generation, attempt: int, input_length: int | None
) -> bool:
    prices, _ = await context.catalogue.price(generation.model, generation.price_version)
    content = await lost_content(context.redis, generation.id) if attempt else NOTHING
    finish = Finish(
        generation_id=generation.id,
        account_id=generation.account_id,
        guard=guard_attempt(generation.id, generation.account_id, attempt=attempt, status=GenerationStatus.queued),
        end_epoch=attempt + 1,
        end_seq=UNWRITTEN_END_SEQ,
        text=content.text,
        artifacts=content.artifacts,
        structured=content.structured,
        ending=Ending(ended_as="cancelled"),
        frozen_microcredits=generation.frozen_microcredits,
        prices=prices,
        figures=Figures(input_length=input_length),
        created_at_us=generation.created_at_us,
        writes=(broken_off_answer(generation.account_id, generation.id, content),),
    )
    terminal = await finish_generation(context.database, context.writer, finish)
    if terminal is None:
        return False
    await tell_readers(context.redis, generation.id, terminal)
    return True


async def lost_content(redis: Redis, generation_id: UUID) -> Content:
    """Return what an earlier attempt had streamed; nothing if Redis is away or has forgotten it."""
    try:
        recovered = await recover_text(redis, str(generation_id))
    except (RedisError, OSError) as error:
        _log.warning("lost_content_unreadable", generation_id=str(generation_id), error=repr(error))
        return NOTHING
    return NOTHING if recovered is None else recovered.content


def broken_off_answer(account_id: UUID, generation_id: UUID, content: Content) -> Statement:
    """Return what appends to its session, if there is one, as much of the answer as there is."""
    return append_answer(
        account_id=account_id,
        generation_id=generation_id,
        text=content.text,
        artifacts=content.artifacts,
        structured=None if content.structured is None else content.structured.get("value"),
        partial=True,
    )


async def tell_readers(redis: Redis, generation_id: UUID, terminal: Terminal) -> None:
    """Append the `end` of a generation that no worker will end; readers ask Postgres if Redis is away."""
    try:
        await announce_end(redis, str(generation_id), terminal)
    except (RedisError, OSError) as error:
        _log.info("end_not_announced", generation_id=str(generation_id), error=repr(error))
