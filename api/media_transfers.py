"""Results that their owner brings to the store, from the provider's own URL, instead of a worker."""

from typing import Any
from uuid import UUID

from litestar import post
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from psycopg import AsyncConnection

from api.answers import Answer
from api.idempotency import once
from api.media import MediaAnswer, media_answer
from api.ownership import visible_account
from api.principal import RUNNERS
from api.requests import ApiRequest
from api.uploads import MediaTypeName, SignedAnswer, SizeInBytes, signed_answer
from workers.media.uploads import begin_transfer, confirm_transfer


class TransferBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the client has found at the provider's URL."""

    size_bytes: SizeInBytes
    media_type: MediaTypeName | None = None
    """Where it is another than the media object says."""


@post("/v1/media/{media_id:uuid}/transfer", status_code=200, opt={"roles": RUNNERS, "problems": (409,)})
async def transfer(media_id: FromPath[UUID], data: JSONBody[TransferBody], request: ApiRequest) -> Answer[SignedAnswer]:
    """Sign a request that brings an offered result to the store; the answer says too where the result is now."""
    return await once(request, lambda connection: _begin(connection, media_id, data, request), is_secret=True)


@post("/v1/media/{media_id:uuid}/confirm", status_code=200, opt={"roles": RUNNERS, "problems": (409,)})
async def confirm(media_id: FromPath[UUID], request: ApiRequest) -> Answer[MediaAnswer]:
    """Have what was transferred looked at and kept. Doing so again, or after a worker was faster, changes nothing."""
    services = request.services
    scope = visible_account(request.principal, None)
    return Answer(
        media_answer(await confirm_transfer(services.database, services.generations.media, media_id, account_id=scope))
    )


async def _begin(
    connection: AsyncConnection[Any], media_id: UUID, data: TransferBody, request: ApiRequest
) -> Answer[SignedAnswer]:
    found, signed = await begin_transfer(
        connection,
        request.services.generations.media,
        media_id,
        account_id=visible_account(request.principal, None),
        media_type=data.media_type,
        size_bytes=data.size_bytes,
    )
    return signed_answer(found, signed, status=200)
