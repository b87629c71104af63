"""The routes that stream: the tokens of a generation, the progress of a batch, the balance of the caller's account."""

from typing import Annotated, Final
from uuid import UUID

from litestar import get
from litestar.params import FromPath, QueryParameter
from litestar.types import ASGIApp

from api.answers import NO_CONTENT
from api.event_stream import EventStream
from api.generation_batches import visible_batch
from api.ownership import own_account
from api.principal import EVERYONE, USERS
from api.requests import ApiRequest
from workers.streams.batch_stream import END_ID
from workers.streams.cursor import parse_cursor

CURSOR_SCHEMA: Final = {"type": "string", "pattern": r"^([0-9]{4}\.[0-9]{12})?$"}
"""An empty cursor is none: the header of a browser that has seen no id yet, and the template of a careless client."""

StreamCursor = Annotated[str | None, QueryParameter(name="cursor", max_length=100, schema_extra=CURSOR_SCHEMA)]

EVENTS: Final = "text/event-stream"


@get("/v1/generations/{generation_id:uuid}/events", opt={"roles": EVERYONE, "media_type": EVENTS, "also": (204,)})
async def generation_events(generation_id: FromPath[UUID], request: ApiRequest, cursor: StreamCursor = None) -> ASGIApp:
    """Stream a generation's events from the cursor on, or from the beginning; 204 to a reader who has the end."""
    return await follow_generation(generation_id, request, request.header(b"last-event-id") or cursor)


@get("/v1/generation-batches/{batch_id:uuid}/events", opt={"roles": EVERYONE, "media_type": EVENTS, "also": (204,)})
async def batch_events(batch_id: FromPath[UUID], request: ApiRequest) -> ASGIApp:
    """Stream how many of a batch's generations are where: as it is now, then the latest after each change, to its end.

    204 to a reader who has the end.
    """
    return await follow_batch(batch_id, request, request.header(b"last-event-id"))


@get("/v1/me/balance/events", opt={"roles": USERS, "media_type": EVENTS})
async def balance_events(request: ApiRequest) -> ASGIApp:
    """Stream the balance of the caller's account: as it is now, then the latest after each change."""
    return EventStream(request.services.balance_hub.subscribe(own_account(request.principal)))


async def follow_batch(batch_id: UUID, request: ApiRequest, last_event_id: str | None) -> ASGIApp:
    """Subscribe to a batch.

    Raises:
        BatchNotFound: there is no such batch, or it is another account's.
    """
    batch = await visible_batch(batch_id, request)
    if batch.is_over and last_event_id == END_ID:
        return NO_CONTENT
    return EventStream(request.services.batch_hub.subscribe(batch))


async def follow_generation(generation_id: UUID, request: ApiRequest, cursor_text: str | None) -> ASGIApp:
    """Subscribe to a generation.

    Raises:
        MalformedCursor: the cursor is not of its form.
        GenerationNotFound: there is no such generation, or it is another account's.
    """
    services = request.services
    cursor = parse_cursor(cursor_text) if cursor_text else None
    await services.generation_owners.check(generation_id, request.principal)
    if await services.stream_hub.is_at_end(str(generation_id), cursor):
        return NO_CONTENT
    return EventStream(services.stream_hub.subscribe(str(generation_id), cursor))
