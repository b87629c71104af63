"""`holdfast accounts`: what administrators do by hand, on the ledger itself, with or without a running API."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import click
import msgspec
from uuid_utils.compat import uuid7

from api.event_views import EventView, event_view
from api.movement_requests import AdjustRequest, TopUpRequest
from api.principal import Principal, Role
from ledger import reads
from ledger.accounts import open_account
from ledger.amounts import format_credits
from ledger.commands import COMMAND_KEY_MAX_CHARACTERS, OWN_KEY_PREFIX
from ledger.events import Event
from ops.command import data_dir_option, json_option, run
from ops.opened_ledger import ACTOR, OpenedLedger, opened_ledger
from ops.output import Output

Request = TypeVar("Request")

FREEZES_SHOWN: Final = 200
OPERATOR: Final = Principal(Role.admin, ACTOR)


class ShownLot(msgspec.Struct, frozen=True):
    """A lot as it is printed."""

    id: UUID
    source: str
    remaining: str
    frozen: str
    priority: int
    expires_at: datetime | None


class ShownAccount(msgspec.Struct, frozen=True):
    """An account as it is printed."""

    id: UUID
    owner: str
    name: str
    available: str
    frozen: str
    version: int
    created_at: datetime
    lots: tuple[ShownLot, ...]


class ShownFreeze(msgspec.Struct, frozen=True):
    """An open freeze as it is printed."""

    id: UUID
    amount: str
    reference: str
    opened_at: datetime
    expires_at: datetime


def command_key(_context: click.Context, _parameter: click.Parameter, key: str | None) -> str:
    """Check the caller's key as the API would; without one, draw one, so that each call is a request of its own."""
    if key is None:
        return f"{ACTOR}:{uuid7()}"
    if not 1 <= len(key) <= COMMAND_KEY_MAX_CHARACTERS or not key.isprintable():
        raise click.BadParameter(f"must have 1 to {COMMAND_KEY_MAX_CHARACTERS} printable characters")
    if key.startswith(OWN_KEY_PREFIX):
        raise click.BadParameter(f"keys that begin with {OWN_KEY_PREFIX!r} are the platform's own")
    return key


key_option: Final = click.option(
    "--idempotency-key", "key", callback=command_key, help="Repeating the command with the same key changes nothing."
)


@click.group("accounts")
def accounts() -> None:
    """Open, read and correct accounts. ACCOUNT is an id or an owner."""


@accounts.command()
@click.argument("owner")
@click.option("--name", default="", help="What people call the account.")
@data_dir_option
@json_option
def create(owner: str, name: str, data_dir: Path, as_json: bool) -> None:
    """Open the account of OWNER, or find the one it has."""

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            account_id, _ = await open_account(ledger.database, ledger.writer, owner=owner, name=name, actor=ACTOR)
            _print_account(output, await _shown_account(ledger, account_id))

    run(work, as_json=as_json)


@accounts.command()
@click.argument("account")
@data_dir_option
@json_option
def show(account: str, data_dir: Path, as_json: bool) -> None:
    """Print what ACCOUNT has, and in which lots."""

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            _print_account(output, await _shown_account(ledger, await ledger.account_id(account)))

    run(work, as_json=as_json)


@accounts.command("top-up")
@click.argument("account")
@click.argument("amount")
@click.option("--reference", default="", help="The payment, for example.")
@click.option("--source", default="top_up", show_default=True, help="Where the credits come from.")
@click.option("--paid", nargs=2, metavar="AMOUNT CURRENCY", help="What was paid, such as 9.90 EUR.")
@click.option("--priority", type=int, help="Lots with a lower number are spent first.")
@click.option("--expires-at", help="RFC 3339 time after which what is left expires.")
@key_option
@data_dir_option
@json_option
def top_up(account: str, amount: str, key: str, data_dir: Path, as_json: bool, **fields: Any) -> None:
    """Bring AMOUNT credits that were bought into ACCOUNT."""
    paid: tuple[str, str] | None = fields.pop("paid")
    given = {name: value for name, value in fields.items() if value is not None}
    if paid is not None:
        given["paid"] = {"amount": paid[0], "currency": paid[1]}
    request = _converted({"amount": amount, **given}, TopUpRequest)

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            account_id = await ledger.account_id(account)
            _print_event(output, (await ledger.writer.submit(request.command(account_id, key, OPERATOR))).event)

    run(work, as_json=as_json)


@accounts.command(context_settings={"ignore_unknown_options": True})
@click.argument("account")
@click.argument("amount")
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option("--allow-negative", is_flag=True, help="Let the account end up owing credits.")
@key_option
@data_dir_option
@json_option
def adjust(account: str, amount: str, key: str, data_dir: Path, as_json: bool, **fields: Any) -> None:
    """Correct ACCOUNT by AMOUNT credits, such as 5 or -5."""
    request = _converted({"amount": amount, **fields}, AdjustRequest)

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            account_id = await ledger.account_id(account)
            _print_event(output, (await ledger.writer.submit(request.command(account_id, key, OPERATOR))).event)

    run(work, as_json=as_json)


@accounts.command()
@click.argument("account")
@data_dir_option
@json_option
def freezes(account: str, data_dir: Path, as_json: bool) -> None:
    """Print the open freezes of ACCOUNT, those that expire first first."""

    async def work(output: Output) -> None:
        async with opened_ledger(data_dir) as ledger:
            account_id = await ledger.account_id(account)
            async with ledger.database.connection() as connection:
                await reads.read_account(connection, account_id, now=datetime.now(UTC))
                found = await reads.read_open_freezes(connection, account_id, limit=FREEZES_SHOWN)
        shown = [
            ShownFreeze(one.id, format_credits(one.amount), one.reference, one.opened_at, one.expires_at)
            for one in found
        ]
        lines = [
            f"{one.id}  {one.amount:>14}  until {one.expires_at:%Y-%m-%d %H:%M:%S}  {one.reference}" for one in shown
        ]
        output.result({"account_id": account_id, "freezes": shown}, *(lines or ["no open freezes"]))

    run(work, as_json=as_json)


def _converted(given: dict[str, Any], kind: type[Request]) -> Request:
    """Hold what was given to the same rules as the API does."""
    try:
        return msgspec.convert(given, kind, strict=True)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None


async def _shown_account(ledger: OpenedLedger, account_id: UUID) -> ShownAccount:
    now = datetime.now(UTC)
    async with ledger.database.connection() as connection:
        account = await reads.read_account(connection, account_id, now=now)
        balance = await reads.read_balance(connection, account_id, now=now)
    return ShownAccount(
        account.id,
        account.owner,
        account.name,
        format_credits(account.available),
        format_credits(account.frozen),
        account.version,
        account.created_at,
        tuple(
            ShownLot(
                lot.id,
                lot.source,
                format_credits(lot.remaining),
                format_credits(lot.frozen),
                lot.priority,
                lot.expires_at,
            )
            for lot in balance.lots
        ),
    )


def _print_account(output: Output, account: ShownAccount) -> None:
    lots = [
        f"  lot {lot.id}  {lot.source:<12} remaining {lot.remaining}, frozen {lot.frozen}, priority {lot.priority}"
        + (f", expires {lot.expires_at:%Y-%m-%d %H:%M:%S}" if lot.expires_at else "")
        for lot in account.lots
    ]
    output.result(
        account,
        f"{account.id}  {account.owner}" + (f"  ({account.name})" if account.name else ""),
        f"  available {account.available}",
        f"  frozen    {account.frozen}",
        f"  version   {account.version}",
        *lots,
    )


def _print_event(output: Output, event: Event) -> None:
    shown: EventView = event_view(event)
    output.result(
        shown,
        f"{shown.kind} {shown.amount}: available {shown.available_after}, frozen {shown.frozen_after} "
        f"(version {shown.version})",
    )
