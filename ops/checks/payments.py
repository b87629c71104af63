"""Payments: gateways whose settings make sense, and nothing that waits for somebody to look at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg import AsyncConnection

from ledger import statements
from ledger.database import connect
from ops.checks.finding import Finding, State, judge, unreachable
from ops.endpoints import Endpoints
from workers.messages.mail_settings import MailSettings
from workers.payments.gateways.registry import NAMES, GatewayFactory, factory_named
from workers.settings import SettingsError

sql: Final = statements.load("ops")

VERIFIED_WITH: Final = {
    "stripe": "STRIPE_WEBHOOK_SECRET",
    "paddle": "PADDLE_WEBHOOK_SECRET",
    "paypal": "PAYPAL_WEBHOOK_ID",
}
"""What each gateway's webhooks are held against. YooKassa signs nothing: what its say is fetched again."""


async def check_gateways(environment: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at the settings of every gateway, and of mail. Nobody is asked, and no secret is shown."""
    for name in NAMES:
        factory = factory_named(name)
        if missing := factory.missing(environment):
            yield _unconfigured(name, factory, missing, environment)
        else:
            yield await _configured(name, factory, environment)
    yield _mail(environment)


async def check_payments(endpoints: Endpoints) -> AsyncIterator[Finding]:
    """Look at what waits in the database."""
    try:
        connection = await connect(endpoints.database_url, name="holdfast doctor", autocommit=True)
        async with connection:
            dead, overdue, mismatches = await _worries(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return  # What is not migrated is told by another check.
    except psycopg.Error as error:
        yield unreachable("payments", error)
        return
    yield judge(
        "payment webhooks",
        fine=not dead and not overdue,
        found=f"{dead} given up, {overdue} due for more than five minutes"
        if dead or overdue
        else "none given up, none overdue",
        mend="see `holdfast payments inbox list`, mend what it says, then `holdfast payments inbox replay`"
        if dead
        else "start a worker and the clock, and look at their logs",
    )
    yield judge(
        "payment mismatches",
        fine=not mismatches,
        found=f"{mismatches} open" if mismatches else "none open",
        mend="see `holdfast payments mismatches list`, refund or credit each, then `… mismatches resolve` it",
    )


def _unconfigured(
    name: str, factory: GatewayFactory, missing: tuple[str, ...], environment: Mapping[str, str]
) -> Finding:
    given = [key for key in (*factory.required, VERIFIED_WITH.get(name, "")) if environment.get(key, "").strip()]
    return judge(
        name,
        fine=not given,
        found=f"{' and '.join(given)} set, {' and '.join(missing)} not" if given else "not configured",
        mend=f"set {' and '.join(missing)} too, or none of them",
    )


async def _configured(name: str, factory: GatewayFactory, environment: Mapping[str, str]) -> Finding:
    try:
        await factory.make(environment).aclose()
    except SettingsError as error:
        return Finding(name, State.wrong, str(error), "correct the variable it names")
    variable = VERIFIED_WITH.get(name)
    if variable is not None and not environment.get(variable, "").strip(" ,"):
        found = f"configured, but {variable} is empty: every webhook is refused"
        return Finding(name, State.wrong, found, f"set {variable} to what the gateway shows beside its webhook")
    base = f"{name.upper()}_BASE_URL"
    if not _is_private(environment.get(base, "").strip()):
        return Finding(name, State.wrong, f"{base} is http: keys would go in the clear", "use https")
    return Finding(name, State.fine, "configured")


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what goes there."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _mail(environment: Mapping[str, str]) -> Finding:
    try:
        settings = MailSettings.from_environment(environment)
    except SettingsError as error:
        return Finding("mail", State.wrong, str(error), "correct the variable it names")
    return Finding("mail", State.fine, "not configured: no messages are sent" if settings is None else str(settings))


async def _worries(connection: AsyncConnection[Any]) -> tuple[int, int, int]:
    row = await (await connection.execute(sql.READ_PAYMENT_WORRIES)).fetchone()
    assert row is not None, "it counts, so there is a row"
    return row[0], row[1], row[2]
