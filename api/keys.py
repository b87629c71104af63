"""API keys: `hf_<id>_<secret>`, where the id finds the row and the secret, 256 random bits, proves the holder.

Stored is the SHA-256 of the secret. A slow password hash protects secrets that people choose; this one cannot be
guessed from its digest, and a slow hash would be paid by every request.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from api.lookups import LookupConnection
from api.principal import Principal, Role
from ledger import statements
from ledger.arrays import UuidArray
from ledger.database import Database

sql: Final = statements.load("api")

SECRET_BYTES: Final = 32
RELY_S: Final = 0.6
"""How long a process may let the holder of a key in without reading it again."""

RELY_MARGIN_S: Final = 0.1
"""What the clocks of two machines may disagree about how long that is, and more."""
_KEY: Final = re.compile(r"hf_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_NEWEST: Final = UUID(int=2**128 - 1)


class KeyRecord(msgspec.Struct, frozen=True):
    """What may be shown of a key, ever."""

    id: UUID
    account_id: UUID | None
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None


class StoredKey(msgspec.Struct, frozen=True):
    """What authentication needs of a key."""

    secret_sha256: bytes
    principal: Principal
    is_revoked: bool

    def admits(self, secret: str) -> bool:
        """Whether this is the key's secret and the key is in force; takes as long whatever the secret is."""
        return hmac.compare_digest(self.secret_sha256, _digest(secret)) and not self.is_revoked


def parse_key(text: str) -> tuple[UUID, str] | None:
    """Take a key apart into its id and its secret; None if it is not of the form of a key."""
    match = _KEY.fullmatch(text)
    return None if match is None else (UUID(match[1]), match[2])


async def create_key(
    connection: AsyncConnection[Any], account_id: UUID | None, role: Role, name: str, *, created_by: str
) -> tuple[KeyRecord, str]:
    """Make a key and return it with its plaintext, which nothing can show again.

    `account_id` is given for the role user and for no other; see the constraint `api_keys_user_account`.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    key_id = uuid7()
    row = {
        "id": key_id,
        "account_id": account_id,
        "role": role.value,
        "name": name,
        "created_by": created_by,
        "secret_sha256": _digest(secret),
    }
    created = await (await connection.execute(sql.INSERT_KEY, row)).fetchone()
    assert created is not None, "an insert returns its row"
    return KeyRecord(key_id, account_id, role, name, created[0], None), f"hf_{key_id.hex}_{secret}"


async def list_keys(connection: AsyncConnection[Any], *, before: UUID | None, limit: int) -> list[KeyRecord]:
    """Return keys, newest first, that are older than `before`."""
    rows = await connection.execute(sql.LIST_KEYS, {"before": before or _NEWEST, "limit": limit})
    return [
        KeyRecord(key_id, account_id, Role(role), name, created_at, revoked_at)
        async for key_id, account_id, role, name, created_at, revoked_at in rows
    ]


async def revoke_key(database: Database, key_id: UUID) -> bool:
    """Revoke a key; false if there is none. Revoking again changes nothing.

    No request that arrives after this returned lets its holder in: nobody relies any more on what was read before.
    """
    async with database.connection() as connection:
        if await (await connection.execute(sql.REVOKE_KEY, {"id": key_id})).fetchone() is None:
            return False
    await asyncio.sleep(RELY_S + RELY_MARGIN_S)
    return True


async def read_keys(lookups: LookupConnection, key_ids: set[UUID]) -> Mapping[UUID, StoredKey]:
    """Read keys for authentication, as they are now."""
    rows = await lookups.fetch(sql.READ_KEYS, {"ids": UuidArray.of(list(key_ids))})
    return {
        key_id: StoredKey(bytes(digest), Principal(Role(role), f"key:{key_id}", account_id), is_revoked)
        for key_id, digest, role, account_id, is_revoked in rows
    }


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
