"""Making, listing and revoking API keys."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from psycopg import AsyncConnection

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, IdCursor, Page, PageLimit, before_id, page_of
from api.errors import InvalidRequest, NotFound
from api.fields import Name
from api.idempotency import once
from api.keys import KeyRecord, create_key, list_keys, revoke_key
from api.principal import ADMINS, AUDITORS, Role
from api.requests import ApiRequest
from ledger.reads import read_account


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. The role user needs an account; the other roles have none."""

    role: Role
    name: Name
    account_id: UUID | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """A key as it is shown once."""

    id: UUID
    account_id: UUID | None
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None
    key: str


async def issue_key(connection: AsyncConnection[Any], data: KeyRequest, request: ApiRequest) -> Answer[NewKey]:
    """Make a key.

    Raises:
        InvalidRequest: a user's key without an account, or another role's key with one.
        AccountNotFound: there is no such account.
    """
    if (data.role is Role.user) != (data.account_id is not None):
        raise InvalidRequest("a key of the role user needs an account_id; keys of other roles have none")
    if data.account_id is not None:
        await read_account(connection, data.account_id, now=datetime.now(UTC))
    record, plaintext = await create_key(
        connection, data.account_id, data.role, data.name, created_by=request.principal.actor
    )
    shown = NewKey(
        id=record.id,
        account_id=record.account_id,
        role=record.role,
        name=record.name,
        created_at=record.created_at,
        revoked_at=record.revoked_at,
        key=plaintext,
    )
    return Answer(shown, status=201)


@post("/v1/keys", opt={"roles": ADMINS, "problems": (404, 409)})
async def create(data: JSONBody[KeyRequest], request: ApiRequest) -> Answer[NewKey]:
    """Make an API key; the answer is the only time that it is shown."""
    return await once(request, lambda connection: issue_key(connection, data, request), is_secret=True)


@get("/v1/keys", opt={"roles": AUDITORS})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: IdCursor = None
) -> Answer[Page[KeyRecord]]:
    """List API keys, newest first, without their secrets."""
    before = before_id(cursor)
    async with request.services.database.connection() as connection:
        found = await list_keys(connection, before=before, limit=limit + 1)
    return Answer(page_of(found, limit=limit, cursor_of=lambda key: key.id))


@delete("/v1/keys/{key_id:uuid}", opt={"roles": ADMINS})
async def revoke(key_id: FromPath[UUID], request: ApiRequest) -> None:
    """Revoke a key: its holder's next request is refused. Revoking it again changes nothing.

    Raises:
        NotFound: there is no such key.
    """
    if not await revoke_key(request.services.database, key_id):
        raise NotFound("key")
