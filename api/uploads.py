"""Uploads: a signed request that brings a file straight to the store, and the look at what it brought."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from api.answers import Answer
from api.fields import END
from api.idempotency import once
from api.media import MediaAnswer, media_answer
from api.ownership import acting_account, visible_account
from api.principal import RUNNERS
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.media.objects import MediaObject
from workers.media.store import SignedRequest
from workers.media.uploads import begin_upload, complete_upload
from workers.tiers import tier_of

MediaTypeName = Annotated[
    str, Meta(min_length=3, max_length=100, pattern=rf"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+{END}")
]
Sha256Hex = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{64}}{END}", description="64 hexadecimal digits, lower case.")]
SizeInBytes = Annotated[int, Meta(ge=1, le=5 * 1024**3)]


class UploadBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be uploaded: its type and exactly how long it is."""

    media_type: MediaTypeName
    size_bytes: SizeInBytes
    sha256: Sha256Hex | None = None
    """What the bytes must have; compared when the upload is completed."""
    account_id: UUID | None = None
    """On whose behalf; only users may leave it out."""


class SignedAnswer(Struct, frozen=True, kw_only=True):
    """A request to send as it is, with these headers and the bytes as its body. It needs no other credential."""

    id: UUID
    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime
    source_url: str | None = None
    """Of a result: where its provider keeps it for now."""


@post("/v1/uploads", opt={"roles": RUNNERS, "problems": (404, 409)})
async def create(data: JSONBody[UploadBody], request: ApiRequest) -> Answer[SignedAnswer]:
    """Announce an upload: the answer is the signed request that brings exactly these bytes."""
    account_id = acting_account(request.principal, data.account_id)
    return await once(request, lambda connection: _begin(connection, data, account_id, request), is_secret=True)


@post("/v1/uploads/{media_id:uuid}/complete", status_code=200, opt={"roles": RUNNERS, "problems": (409,)})
async def complete(media_id: FromPath[UUID], request: ApiRequest) -> Answer[MediaAnswer]:
    """Have what was uploaded looked at and kept. Doing so again changes nothing."""
    services = request.services
    scope = visible_account(request.principal, None)
    return Answer(
        media_answer(await complete_upload(services.database, services.generations.media, media_id, account_id=scope))
    )


def signed_answer(found: MediaObject, signed: SignedRequest, *, status: int) -> Answer[SignedAnswer]:
    """Hand out a signed request, and where the bytes are now, if they are at a provider's."""
    answer = SignedAnswer(
        id=found.id,
        method=signed.method,
        url=signed.url,
        headers=signed.headers,
        expires_at=from_us(signed.expires_at_us),
        source_url=found.source_url,
    )
    return Answer(answer, status=status)


async def _begin(
    connection: AsyncConnection[Any], data: UploadBody, account_id: UUID, request: ApiRequest
) -> Answer[SignedAnswer]:
    services = request.services
    found, signed = await begin_upload(
        connection,
        services.generations.media,
        account_id=account_id,
        media_type=data.media_type,
        size_bytes=data.size_bytes,
        sha256=None if data.sha256 is None else bytes.fromhex(data.sha256),
        tier=await tier_of(services.database, account_id),
    )
    return signed_answer(found, signed, status=201)
