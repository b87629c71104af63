"""`holdfast keys`: making, listing and revoking API keys without an admin key, on the database itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import click
import msgspec

from api import keys as api_keys
from api.principal import Role
from ledger import reads
from ops.command import data_dir_option, json_option, run
from ops.errors import CheckFailed
from ops.opened_ledger import ACTOR, opened_ledger
from ops.output import Output

PAGE: Final = 200


@click.group("keys")
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--account", help="The id or owner of the account a key of the role user is for.")
@click.option("--name", required=True, help="What the key is for.")
@data_dir_option
@json_option
def create(role: str, account: str | None, name: str, data_dir: Path, as_json: bool) -> None:
    """Make a key and print it, this once."""
    if (role == Role.user) != (account is not None):
        raise click.UsageError("a key of the role user needs --account; keys of other roles have none")

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            account_id = None if account is None else await ledger.account_id(account)
            async with ledger.database.connection() as connection:
                if account_id is not None:
                    await reads.read_account(connection, account_id, now=datetime.now(UTC))
                record, plaintext = await api_keys.create_key(
                    connection, account_id, Role(role), name, created_by=ACTOR
                )
        output.result({**msgspec.structs.asdict(record), "key": plaintext}, plaintext)

    run(work, as_json=as_json)


@keys.command("list")
@data_dir_option
@json_option
def list_all(data_dir: Path, as_json: bool) -> None:
    """Print all keys, newest first, without their secrets."""

    async def work(output: Output) -> None:
        found: list[api_keys.KeyRecord] = []
        async with opened_ledger(data_dir) as ledger, ledger.database.connection() as connection:
            while page := await api_keys.list_keys(connection, before=found[-1].id if found else None, limit=PAGE):
                found += page
        output.result({"items": found}, *(_line(record) for record in found))

    run(work, as_json=as_json)


@keys.command()
@click.argument("key_id", type=click.UUID)
@data_dir_option
@json_option
def revoke(key_id: UUID, data_dir: Path, as_json: bool) -> None:
    """Revoke a key, for ever. Revoking it again changes nothing."""

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            if not await api_keys.revoke_key(ledger.database, key_id):
                raise CheckFailed(f"no key has the id {key_id}")
        output.result({"id": key_id, "revoked": True}, f"revoked {key_id}")

    run(work, as_json=as_json)


def _line(record: api_keys.KeyRecord) -> str:
    state = f"revoked {record.revoked_at:%Y-%m-%d %H:%M}" if record.revoked_at else "in force"
    return f"{record.id}  {record.role.value:<8} {state:<24} {record.name}"
