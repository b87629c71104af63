"""`holdfast payments`: webhooks that wait or were given up, money that fits nothing, and orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click

from ledger import statements
from ledger.database import Database
from ops.command import data_dir_option, json_option, run
from ops.errors import CheckFailed
from ops.lazy_commands import LazyCommands
from ops.opened_ledger import ACTOR
from ops.output import Output
from ops.payment_views import (
    STATES,
    ShownHistory,
    ShownMismatch,
    ShownOrder,
    ShownWebhook,
    printable,
    shown_headers,
)
from ops.reading import opened_database

sql: Final = statements.load("ops")

MAX_LISTED: Final = 1_000
MAX_NOTE_CHARACTERS: Final = 500
UNDONE: Final = ("waiting", "dead")

_limit_option: Final = click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=100, show_default=True, help="How many at most."
)


@click.group("payments", commands=LazyCommands(refund="ops.payment_refunds:refund_command"))
def payments() -> None:
    """Look at webhooks, payments that fit nothing, and orders; give money back."""


@payments.group()
def inbox() -> None:
    """Webhooks as gateways sent them."""


@inbox.command("list")
@click.option("--state", type=click.Choice(STATES), help="By default, those that wait and those that are dead.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only those with a larger id.")
@_limit_option
@data_dir_option
@json_option
def list_inbox(state: str | None, after: int, limit: int, data_dir: Path, as_json: bool) -> None:
    """List webhooks in the order in which they came."""
    states = [STATES.index(name) for name in ((state,) if state else UNDONE)]

    async def work(output: Output) -> None:
        parameters = {"states": states, "after": after, "limit": limit + 1}
        async with opened_database(data_dir) as database:
            rows = await _rows(database, sql.LIST_INBOX, parameters)
        items = [ShownWebhook.of_row(row) for row in rows[:limit]]
        following = items[-1].id if len(rows) > limit else None
        lines = [item.line for item in items] or ["no webhooks"]
        if following is not None:
            lines.append(f"there are more: --after {following}")
        output.result({"items": items, "next_after": following}, *lines)

    run(work, as_json=as_json)


@inbox.command("show")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1))
@data_dir_option
@json_option
def show_inbox(webhook_id: int, data_dir: Path, as_json: bool) -> None:
    """Print a webhook with its headers, signatures left out, and its body."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database:
            rows = await _rows(database, sql.READ_INBOX, {"id": webhook_id})
        if not rows:
            raise CheckFailed(f"there is no webhook {webhook_id}")
        webhook = ShownWebhook.of_row(rows[0])
        headers, body = shown_headers(rows[0][12]), bytes(rows[0][13]).decode(errors="replace")
        lines = [
            webhook.line,
            f"event {printable(webhook.event_id)}, request {printable(webhook.request_id)}",
            *(f"{name}: {printable(value)}" for name, value in headers.items()),
            "",
            printable(body),
        ]
        output.result({"webhook": webhook, "headers": headers, "body": body}, *lines)

    run(work, as_json=as_json)


@inbox.command()
@click.argument("webhook_ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1))
@click.option("--all-dead", is_flag=True, help="All that were given up.")
@data_dir_option
@json_option
def replay(webhook_ids: tuple[int, ...], all_dead: bool, data_dir: Path, as_json: bool) -> None:
    """Have webhooks processed again, as if they had just come. What is done already changes nothing."""
    if all_dead == bool(webhook_ids):
        raise click.UsageError("give the ids of webhooks, or --all-dead")

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database:
            if all_dead:
                rows = await _rows(database, sql.REPLAY_DEAD, {})
            else:
                rows = await _rows(database, sql.REPLAY_INBOX, {"ids": sorted(set(webhook_ids))})
        replayed = sorted(row[0] for row in rows)
        unknown = sorted(set(webhook_ids) - set(replayed))
        output.result({"replayed": replayed, "unknown": unknown}, f"{len(replayed)} to be processed again")
        if unknown:
            raise CheckFailed(f"there is no webhook {', '.join(map(str, unknown))}")

    run(work, as_json=as_json)


@payments.group()
def mismatches() -> None:
    """Payments that fit nothing we offered, and so were not credited."""


@mismatches.command("list")
@click.option("--all", "with_resolved", is_flag=True, help="Also those that somebody has dealt with.")
@_limit_option
@data_dir_option
@json_option
def list_mismatches(with_resolved: bool, limit: int, data_dir: Path, as_json: bool) -> None:
    """List them, those that were found first first."""

    async def work(output: Output) -> None:
        parameters = {"with_resolved": with_resolved, "limit": limit + 1}
        async with opened_database(data_dir) as database:
            rows = await _rows(database, sql.LIST_MISMATCHES, parameters)
        items = [ShownMismatch.of_row(row) for row in rows[:limit]]
        has_more = len(rows) > limit
        lines = [item.line for item in items] or ["no mismatches"]
        if has_more:
            lines.append("there are more: ask for them with a greater --limit, or deal with these first")
        output.result({"items": items, "has_more": has_more}, *lines)

    run(work, as_json=as_json)


@mismatches.command()
@click.argument("gateway")
@click.argument("payment_id")
@click.option("--note", required=True, help="What was done about it; kept for ever.")
@data_dir_option
@json_option
def resolve(gateway: str, payment_id: str, note: str, data_dir: Path, as_json: bool) -> None:
    """Note that PAYMENT_ID at GATEWAY was dealt with. What was noted first stays."""
    if not note.strip() or len(note) > MAX_NOTE_CHARACTERS or not note.isprintable():
        raise click.BadParameter(f"must have 1 to {MAX_NOTE_CHARACTERS} printable characters", param_hint="--note")

    async def work(output: Output) -> None:
        parameters = {"gateway": gateway, "payment_id": payment_id, "actor": ACTOR, "note": note.strip()}
        async with opened_database(data_dir) as database:
            rows = await _rows(database, sql.SETTLE_MISMATCH, parameters)
        if not rows:
            raise CheckFailed(f"{payment_id!r} at {gateway!r} is not listed")
        mismatch = ShownMismatch.of_row(rows[0])
        output.result(mismatch, mismatch.line)

    run(work, as_json=as_json)


@payments.group()
def orders() -> None:
    """What somebody wanted to buy."""


@orders.command("show")
@click.argument("order_id", metavar="ID", type=click.UUID)
@data_dir_option
@json_option
def show_order(order_id: UUID, data_dir: Path, as_json: bool) -> None:
    """Print an order with its payments, their refunds and disputes."""

    async def work(output: Output) -> None:
        async with opened_database(data_dir) as database:
            rows = await _rows(database, sql.READ_ORDER, {"id": order_id})
            history = await _rows(database, sql.READ_ORDER_HISTORY, {"id": order_id})
        if not rows:
            raise CheckFailed(f"there is no order {order_id}")
        shown = ShownOrder.of_row(rows[0], tuple(ShownHistory.of_row(row) for row in history))
        output.result(shown, *shown.lines)

    run(work, as_json=as_json)


async def _rows(database: Database, statement: Any, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    async with database.connection() as connection:
        return await (await connection.execute(statement, parameters)).fetchall()
