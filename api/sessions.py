"""Sessions: conversations that the platform keeps. What is said in one is a generation with its `session_id`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from api.answers import Answer
from api.cursors import (
    LIMIT_DEFAULT,
    IdCursor,
    Page,
    PageLimit,
    VersionCursor,
    after_version,
    before_id,
    page_of,
)
from api.fields import NO_NUL, Name, parse_id
from api.idempotency import once
from api.ownership import acting_account, visible_account
from api.principal import EVERYONE, RUNNERS
from api.requests import ApiRequest
from workers.session_store import (
    KeptMessage,
    Session,
    delete_session,
    get_session,
    list_messages,
    list_sessions,
    open_session,
)

OfAccount = Annotated[str | None, QueryParameter(name="account_id", max_length=40, schema_extra={"format": "uuid"})]
SystemText = Annotated[str, Meta(min_length=1, max_length=100_000)]


class SessionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to open. `model` answers where a message does not name one; `system` is said before everything else."""

    model: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)] | None = None
    title: Name | None = None
    system: SystemText | None = None
    account_id: UUID | None = None
    """On whose behalf; only users may leave it out."""


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """A session as it is now. While it is `busy` an answer is being written, and nothing can be said in it."""

    id: UUID
    account_id: UUID
    model: str | None
    title: str | None
    system: str | None
    messages: int
    busy: bool
    created_at: datetime
    updated_at: datetime


class SessionMessageAnswer(Struct, frozen=True, kw_only=True):
    """Something that was said. Ordinals have no gaps; a message that is `partial` broke off."""

    ordinal: int
    role: str
    parts: list[dict[str, Any]]
    """`{type: text, text}`, `{type: image | audio | video, media_id, …}`, `{type: artifact, …}` or
    `{type: structured, value}`."""
    generation_id: UUID
    partial: bool
    created_at: datetime


@post("/v1/sessions", status_code=201, opt={"roles": RUNNERS, "problems": (404, 409)})
async def create(data: JSONBody[SessionRequest], request: ApiRequest) -> Answer[SessionAnswer]:
    """Open a session."""
    return await once(request, lambda _: open_for(data, request))


@get("/v1/sessions", opt={"roles": EVERYONE, "problems": (404,)})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: IdCursor = None, of_account: OfAccount = None
) -> Answer[Page[SessionAnswer]]:
    """List sessions, newest first: a user's own, or those of one account or of all."""
    account_id = None if of_account is None else parse_id(of_account, name="account_id")
    scope = visible_account(request.principal, account_id)
    found = await list_sessions(request.services.database, account_id=scope, before=before_id(cursor), limit=limit + 1)
    answers = [session_answer(session) for session in found]
    return Answer(page_of(answers, limit=limit, cursor_of=lambda session: session.id))


@get("/v1/sessions/{session_id:uuid}", opt={"roles": EVERYONE})
async def read(session_id: FromPath[UUID], request: ApiRequest) -> Answer[SessionAnswer]:
    """Return a session as it is now."""
    scope = visible_account(request.principal, None)
    return Answer(session_answer(await get_session(request.services.database, session_id, account_id=scope)))


@get("/v1/sessions/{session_id:uuid}/messages", opt={"roles": EVERYONE})
async def messages(
    session_id: FromPath[UUID], request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: VersionCursor = None
) -> Answer[Page[SessionMessageAnswer]]:
    """List what was said in a session, in order."""
    scope = visible_account(request.principal, None)
    after = after_version(cursor)
    session = await get_session(request.services.database, session_id, account_id=scope)
    found = await list_messages(request.services.database, session, after=after, limit=limit + 1)
    answers = [message_answer(message) for message in found]
    return Answer(page_of(answers, limit=limit, cursor_of=lambda message: message.ordinal))


@delete("/v1/sessions/{session_id:uuid}", opt={"roles": RUNNERS})
async def forget(session_id: FromPath[UUID], request: ApiRequest) -> None:
    """Delete a session and what was said in it; generations stay. What still runs in it ends, but is not kept there."""
    scope = visible_account(request.principal, None)
    await delete_session(request.services.database, session_id, account_id=scope)


async def open_for(data: SessionRequest, request: ApiRequest) -> Answer[SessionAnswer]:
    """Open a session for the account that the caller acts for.

    Raises:
        ModelNotFound: its model is not offered here.
        AccountNotFound: there is no such account.
    """
    account_id = acting_account(request.principal, data.account_id)
    if data.model is not None:
        await request.services.generations.catalogue.offered(data.model)
    session = await open_session(
        request.services.database, account_id, model=data.model, title=data.title, system=data.system
    )
    return Answer(session_answer(session), status=201)


def session_answer(session: Session) -> SessionAnswer:
    """Show a session."""
    return SessionAnswer(
        id=session.id,
        account_id=session.account_id,
        model=session.model,
        title=session.title,
        system=session.system,
        messages=session.messages,
        busy=session.busy,
        created_at=session.created_at,
        updated_at=session.updated_at,
    )


def message_answer(message: KeptMessage) -> SessionMessageAnswer:
    """Show a message."""
    return SessionMessageAnswer(
        ordinal=message.ordinal,
        role=message.role,
        parts=list(message.parts),
        generation_id=message.generation_id,
        partial=message.partial,
        created_at=message.created_at,
    )
