"""The account a new installation can be tried with, and its key, which is kept in the data directory for its owner."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import Final
from uuid import UUID

import httpx
import msgspec

from api.keys import create_key
from api.principal import Role
from ledger.accounts import open_account
from ledger.amounts import MICROCREDITS_PER_CREDIT
from ledger.commands import OWN_KEY_PREFIX, TopUp
from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.endpoints import Endpoints
from ops.instance import DataDirectory

OWNER: Final = "demo"
FILE: Final = "demo.json"
TOP_UP_MICROCREDITS: Final = 1_000 * MICROCREDITS_PER_CREDIT
ANSWER_TIMEOUT_S: Final = 10


class DemoAccount(msgspec.Struct, frozen=True):
    """An account and a key of role `user` for it."""

    account_id: UUID
    key: str


async def ensure(directory: DataDirectory, endpoints: Endpoints, url: str) -> DemoAccount:
    """Return the demo account, making what is missing of it.

    The account and its credits are made once per database. The key is made again if the file with it is gone, or if it
    was revoked or belongs to another database.
    """
    known = kept(directory)
    if known is not None and await _is_admitted(known, url):
        return known
    made = await _make(endpoints.database_url)
    directory.write_private(FILE, msgspec.json.encode(made))
    return made


def kept(directory: DataDirectory) -> DemoAccount | None:
    """Return the demo account of this data directory, if its key is kept there."""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        return msgspec.json.decode((directory.path / FILE).read_bytes(), type=DemoAccount)
    return None


async def _is_admitted(demo: DemoAccount, url: str) -> bool:
    headers = {"Authorization": f"Bearer {demo.key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_TIMEOUT_S, trust_env=False) as client:
        return (await client.get("/v1/me")).status_code == HTTPStatus.OK


async def _make(database_url: str) -> DemoAccount:
    async with Database(database_url, name="holdfast demo", max_size=2) as database:
        async with LedgerWriter(database_url) as writer:
            account_id, _ = await open_account(database, writer, owner=OWNER, name="Demo", actor="cli")
            await writer.submit(
                TopUp(
                    account_id=account_id,
                    command_key=f"{OWN_KEY_PREFIX}demo",
                    actor="cli",
                    amount_microcredits=TOP_UP_MICROCREDITS,
                    reference="first start",
                    source="demo",
                )
            )
        async with database.connection() as connection:
            _, key = await create_key(connection, account_id, Role.user, "demo", created_by="cli")
    return DemoAccount(account_id, key)
