"""Conversations through admission and a worker: what is said and answered is kept, whatever becomes of a generation."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from tests.generations import (
    FREE,
    account_with,
    generation_context,
    same_price,
    settings_for,
)
from tests.waiting import eventually
from workers.admission import Admitted, admit, retry_generation
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.errors import InvalidInput, SessionBusy, SessionNotFound
from workers.generations import Generation, GenerationStatus, get_generation
from workers.models import ModelDefinition
from workers.requests import GenerationRequest
from workers.runtime import WorkerRuntime
from workers.session_store import Session, get_session, list_messages, open_session
from workers.streams.recovery import recover_text


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        await context.catalogue.set_price("echo", prices=same_price(100), costs=FREE, changed_by="test")
        yield context


@pytest.fixture
async def worker(context: GenerationContext, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        yield worker


@pytest.fixture
async def session(context: GenerationContext) -> Session:
    account_id = await account_with(context)
    return await open_session(context.database, account_id, model="echo", title=None, system="Be brief.")


async def say(
    context: GenerationContext,
    session: Session,
    text: str,
    *,
    delay_ms: int = 0,
    key: str | None = None,
    model: str = "echo",
) -> Admitted:
    request = GenerationRequest(
        model=model, input={"prompt": text, "delay_ms": delay_ms}, session_id=session.id, max_output_tokens=100
    )
    return await admit(context, session.account_id, request, idempotency_key=key, request_id="r")


async def run(worker: WorkerRuntime, context: GenerationContext, admitted: Admitted) -> Generation:
    generation = admitted.generation
    await worker.run(generation.id, account_id=generation.account_id)
    return await get_generation(context.database, generation.id)


async def said(context: GenerationContext, session: Session) -> list[tuple[str, str, bool]]:
    messages = await list_messages(context.database, session, after=0, limit=200)
    assert [message.ordinal for message in messages] == list(range(1, len(messages) + 1))
    return [(message.role, message.parts[0]["text"], message.partial) for message in messages]


async def test_an_answer_is_given_all_that_was_said_before(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    await run(worker, context, await say(context, session, "one two"))

    second = await run(worker, context, await say(context, session, "three"))

    assert second.usage is not None
    assert second.usage.input_tokens == 2 + 2 + 2 + 1, "system text, what was said and answered, new message"
    assert await said(context, session) == [
        ("user", "one two", False), ("assistant", "one two", False),
        ("user", "three", False), ("assistant", "three", False),
    ]  # fmt: skip
    assert not (await get_session(context.database, session.id)).busy


async def test_of_two_messages_at_once_one_waits_its_turn(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    results = await asyncio.gather(say(context, session, "one"), say(context, session, "two"), return_exceptions=True)
    (taken,) = [result for result in results if isinstance(result, Admitted)]
    (refused,) = [result for result in results if isinstance(result, SessionBusy)]

    with pytest.raises(SessionBusy):
        await say(context, session, "three")
    await run(worker, context, taken)
    await say(context, session, "three")

    assert refused.session_id == session.id
    assert [role for role, _, _ in await said(context, session)] == ["user", "assistant", "user"]


async def test_a_message_sent_again_under_its_key_is_said_once(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    sent = await asyncio.gather(*(say(context, session, "one", key="k") for _ in range(5)))
    await run(worker, context, sent[0])
    later = await say(context, session, "one", key="k")

    assert {admitted.generation.id for admitted in [*sent, later]} == {sent[0].generation.id}
    assert [text for _, text, _ in await said(context, session)] == ["one", "one"]


async def test_what_was_answered_before_a_cancel_is_kept_and_a_retry_answers_in_its_place(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    words = " ".join(f"w{number}" for number in range(200))
    # Of the hundred words it may answer, a slow machine does not get to the last before the cancel arrives.
    admitted = await say(context, session, words, delay_ms=200)
    running = asyncio.create_task(run(worker, context, admitted))
    await eventually(lambda: _has_first_token(context, admitted.generation.id))
    await cancel_generation(context, admitted.generation.id)
    cancelled = await running

    again = await retry_generation(context, cancelled.id, account_id=None, request_id="r")
    assert (await get_session(context.database, session.id)).busy
    await cancel_generation(context, again.generation.id)
    once_more = await retry_generation(context, again.generation.id, account_id=None, request_id="r")
    await cancel_generation(context, once_more.generation.id)
    last = await run(worker, context, await say(context, session, "next"))

    (_, prompt, _), (role, text, partial), (_, following, _), (_, answer, _) = await said(context, session)
    assert (prompt, role, partial) == (words, "assistant", True)
    assert text == cancelled.output
    assert words.startswith(text.strip())
    assert (following, answer, last.status) == ("next", "next", GenerationStatus.completed)


async def _has_first_token(context: GenerationContext, generation_id: UUID) -> bool:
    recovered = await recover_text(context.redis, str(generation_id))
    return recovered is not None and recovered.text != ""


async def test_a_retry_that_completes_follows_the_answer_that_broke_off(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    admitted = await say(context, session, "one two")
    await cancel_generation(context, admitted.generation.id)

    again = await retry_generation(context, admitted.generation.id, account_id=None, request_id="r")
    await run(worker, context, again)

    assert await said(context, session) == [("user", "one two", False), ("assistant", "one two", False)]


async def test_a_retry_after_the_conversation_moved_on_answers_outside_of_it(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    first = await say(context, session, "one")
    await cancel_generation(context, first.generation.id)
    await run(worker, context, await say(context, session, "two"))

    again = await retry_generation(context, first.generation.id, account_id=None, request_id="r")
    retried = await run(worker, context, again)

    assert retried.output == "one"
    assert [text for _, text, _ in await said(context, session)] == ["one", "two", "two"]


async def test_a_free_model_keeps_conversations_too(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    definition = ModelDefinition(
        name="gratis", provider="echo", upstream_name="echo", context_tokens=1_000, max_output_tokens=100
    )
    await context.catalogue.upsert_model(definition, changed_by="test")
    await context.catalogue.set_price("gratis", prices=FREE, costs=FREE, changed_by="test")

    admitted = await say(context, session, "one", model="gratis")
    with pytest.raises(SessionBusy):
        await say(context, session, "two", model="gratis")
    await run(worker, context, admitted)

    assert await said(context, session) == [("user", "one", False), ("assistant", "one", False)]


async def test_a_long_conversation_never_outgrows_its_model(
    context: GenerationContext, worker: WorkerRuntime, session: Session
) -> None:
    definition = ModelDefinition(
        name="small", provider="echo", upstream_name="echo", context_tokens=60, max_output_tokens=10
    )
    await context.catalogue.upsert_model(definition, changed_by="test")
    await context.catalogue.set_price("small", prices=same_price(1), costs=FREE, changed_by="test")

    for number in range(6):
        ended = await run(worker, context, await say(context, session, f"a b c d e f g {number}", model="small"))
        assert ended.status is GenerationStatus.completed

    assert len(await said(context, session)) == 12


async def test_a_session_that_is_not_there_or_not_for_this_is_refused(
    context: GenerationContext, session: Session
) -> None:
    stranger = await account_with(context)

    with pytest.raises(SessionNotFound):
        await admit(
            context,
            stranger,
            GenerationRequest(model="echo", input={"prompt": "x"}, session_id=session.id),
            request_id="r",
        )
    with pytest.raises(InvalidInput, match="the new message of the user"):
        await admit(
            context,
            session.account_id,
            GenerationRequest(model="echo", input={"messages": []}, session_id=session.id),
            request_id="r",
        )


async def test_a_session_says_which_model_answers_where_a_message_does_not(
    context: GenerationContext, session: Session
) -> None:
    nameless = await open_session(context.database, session.account_id, model=None, title=None, system=None)

    asked = GenerationRequest(input={"prompt": "x"}, session_id=session.id)
    admitted = await admit(context, session.account_id, asked, request_id="r")

    assert admitted.generation.model == "echo"
    for session_id in (nameless.id, None):
        with pytest.raises(InvalidInput, match="model is needed"):
            await admit(
                context,
                session.account_id,
                GenerationRequest(input={"prompt": "x"}, session_id=session_id),
                request_id="r",
            )
