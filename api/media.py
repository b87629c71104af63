"""Media objects: what they are, where to get them, and results that their owner transfers without us."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import delete, get
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, IdCursor, Page, PageLimit, before_id, page_of
from api.fields import parse_id, us_moment
from api.ownership import visible_account
from api.principal import EVERYONE, RUNNERS
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.media.deleting import delete_media
from workers.media.errors import MediaNotFound
from workers.media.objects import MediaObject, get_media, list_media
from workers.media.opening import Media
from workers.media.store import SignedRequest
from workers.media.types import extension_of

URL_TTL_S = 3_600.0

OfAccount = Annotated[str | None, QueryParameter(name="account_id", max_length=40, schema_extra={"format": "uuid"})]


class MediaAnswer(Struct, frozen=True, kw_only=True):
    """An upload or a result. `url` is null in lists, and until it is stored."""

    id: UUID
    account_id: UUID
    generation_id: UUID | None
    ordinal: int
    purpose: str
    kind: str
    media_type: str
    size_bytes: int | None
    sha256: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    state: str
    url: str | None
    url_expires_at: datetime | None
    created_at: datetime
    offered_until: datetime | None
    """Until when a result may be transferred by its owner; null for an upload."""
    expires_at: datetime | None
    """When it will be deleted; null for never."""


@get("/v1/media/{media_id:uuid}", opt={"roles": EVERYONE})
async def read(media_id: FromPath[UUID], request: ApiRequest) -> Answer[MediaAnswer]:
    """Return a media object, with a URL from which it can be fetched for an hour."""
    scope = visible_account(request.principal, None)
    return Answer(await shown_media(request, media_id, account_id=scope))


@get("/v1/media", opt={"roles": EVERYONE, "problems": (404,)})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: IdCursor = None, of_account: OfAccount = None
) -> Answer[Page[MediaAnswer]]:
    """List media objects, newest first: a user's own, or those of one account or of all."""
    account_id = None if of_account is None else parse_id(of_account, name="account_id")
    found = await list_media(
        request.services.database,
        account_id=visible_account(request.principal, account_id),
        limit=limit + 1,
        before_id=before_id(cursor),
    )
    return Answer(page_of([media_answer(item) for item in found], limit=limit, cursor_of=lambda item: item.id))


@delete("/v1/media/{media_id:uuid}", opt={"roles": RUNNERS})
async def remove(media_id: FromPath[UUID], request: ApiRequest) -> None:
    """Delete a media object and its bytes. Deleting it again changes nothing."""
    services = request.services
    scope = visible_account(request.principal, None)
    await delete_media(services.database, services.generations.media.store, media_id, account_id=scope)


async def shown_media(request: ApiRequest, media_id: UUID, *, account_id: UUID | None) -> MediaAnswer:
    """Read a media object and sign a URL for its bytes, where they are here.

    Raises:
        MediaNotFound: there is none, or it was deleted, or is another account's.
    """
    services = request.services
    found = await get_media(services.database, media_id, account_id=account_id)
    if found.state == "deleted":
        raise MediaNotFound(media_id)
    return media_answer(
        found, url=await signed_url(services.generations.media, found) if found.state == "stored" else None
    )


async def signed_url(media: Media, found: MediaObject) -> SignedRequest:
    """Sign a URL for the bytes of a stored object."""
    filename = f"{found.id}.{extension_of(found.media_type)}"
    return await media.store.presign_get(
        found.storage_key, media_type=found.media_type, ttl_s=URL_TTL_S, filename=filename
    )


def media_answer(found: MediaObject, *, url: SignedRequest | None = None) -> MediaAnswer:
    """Show a media object."""
    return MediaAnswer(
        id=found.id,
        account_id=found.account_id,
        generation_id=found.generation_id,
        ordinal=found.ordinal,
        purpose=found.purpose,
        kind=found.kind,
        media_type=found.media_type,
        size_bytes=found.size_bytes,
        sha256=None if found.sha256 is None else found.sha256.hex(),
        width=found.width,
        height=found.height,
        duration_ms=found.duration_ms,
        state=found.state,
        url=None if url is None else url.url,
        url_expires_at=None if url is None else from_us(url.expires_at_us),
        created_at=from_us(found.created_at_us),
        offered_until=us_moment(found.offered_until_us),
        expires_at=us_moment(found.expires_at_us),
    )
