"""Credits that are free each day: given once for each day of the account's time zone, and gone with it.

Whom they are due to is in the table `daily_credits`; a grant and the note of its day are one transaction of the ledger,
under a key of the day's date. A day that overlaps the last one is left out, whatever becomes of the time zone, and one
that begins less than 20 hours after it too.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from msgspec import Struct

from ledger.amounts import parse_credits
from ledger.batch import Rider
from ledger.commands import OWN_KEY_PREFIX, Grant
from ledger.database import Database
from ledger.errors import Contended, InvalidAmount, Refused
from ledger.rows import from_us, to_us
from ledger.writer import LedgerWriter
from workers.payments.subscriptions.local_days import LocalDay, day_at, first_day_from, zone_of
from workers.payments.subscriptions.noting import definition_of
from workers.payments.subscriptions.rows import sql
from workers.payments.subscriptions.subscription import Plan
from workers.settings import SettingsError

BATCH: Final = 200
INTERVAL_S: Final = 1.0
PAGE: Final = 1_000
ROUND_S: Final = 3_600.0
"""So often all accounts are gone through where everybody is given free credits; new ones are found at once."""

PRIORITY: Final = 10
"""Before what was bought."""

ACTOR: Final = "holdfast"
VARIABLE: Final = "HOLDFAST_DAILY_FREE_CREDITS"


_GIVEN: Final = -1

_log = structlog.stdlib.get_logger(__name__)


class Platform(Protocol):
    """What is needed of a process."""

    @property
    def database(self) -> Database:
        """Its database."""
        ...

    @property
    def writer(self) -> LedgerWriter:
        """Its ledger writer."""
        ...


class _Due(Struct, frozen=True):
    account_id: UUID
    last: tuple[int, int] | None
    """Begin and end of the day for which something was given last."""
    plans: tuple[Plan, ...]


def daily_default(environment: Mapping[str, str]) -> int:
    """Return how many microcredits are free each day without a plan that says otherwise; 0 for none.

    Raises:
        SettingsError: it is no amount.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text.strip("0."):
        return 0
    try:
        return parse_credits(text)
    except InvalidAmount as error:
        raise SettingsError(f"{VARIABLE} must be an amount of credits, such as 10") from error


class DailyCredits:
    """Gives everybody what is free each day. Runs in the clock; several at once do no harm."""

    def __init__(
        self, environment: Mapping[str, str], *, clock_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        """Read how much is free without a plan.

        Raises:
            SettingsError: it is no amount.
        """
        self._default = daily_default(environment)
        self._clock_us = clock_us
        self._after = UUID(int=0)
        self._round_ends_s = 0.0

    async def run(self, platform: Platform) -> int:
        """Give what is due to up to `BATCH` accounts; return to how many that was."""
        if self._default:
            await self._enrol(platform.database)
        now_us = self._clock_us()
        due = await _read_due(platform.database, now_us)
        if not due:
            return 0
        zones = await time_zones(platform.database, [one.account_id for one in due])
        amounts = await self._amounts(platform.database, due)
        later = await asyncio.gather(
            *(_give(platform, one, amounts[one.account_id], zones.get(one.account_id, "UTC"), now_us) for one in due)
        )
        put_off = {one.account_id: due_us for one, due_us in zip(due, later, strict=True) if due_us != _GIVEN}
        await _put_off(platform.database, put_off, now_us)
        return len(due)

    async def _amounts(self, database: Database, due: Sequence[_Due]) -> dict[UUID, int]:
        """Return what each is given: what the best of its plans says, else the default."""
        plans = {plan for one in due for plan in one.plans}
        daily: dict[Plan, int] = {}
        for plan in plans:
            definition = await definition_of(database, plan)
            daily[plan] = 0 if definition is None else definition.daily_free_microcredits
        return {one.account_id: max((daily[plan] for plan in one.plans), default=0) or self._default for one in due}

    async def _enrol(self, database: Database) -> None:
        """Go on through the accounts. Ids grow with time, so whoever is new comes after all others."""
        if time.monotonic() >= self._round_ends_s:
            self._after, self._round_ends_s = UUID(int=0), time.monotonic() + ROUND_S
        parameters = {"after": self._after, "limit": PAGE, "now": from_us(self._clock_us())}
        async with database.autocommit() as connection:
            row = await (await connection.execute(sql.ENROL_ACCOUNTS, parameters)).fetchone()
        if row is not None and row[1] is not None:
            self._after = row[1]


async def time_zones(database: Database, account_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Return the time zones of those accounts whose owners said theirs."""
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.READ_TIME_ZONES, {"account_ids": list(account_ids)})).fetchall()
    return {row[0]: row[1] for row in rows}


async def _give(platform: Platform, due: _Due, amount: int, zone_name: str, now_us: int) -> int | None:
    """Give what is due; return when to look again, `None` for never, or that it was given, which says so itself."""
    if not amount:
        return None
    zone = zone_of(zone_name)
    day = day_at(now_us, zone)
    if due.last is not None and day.begins_us < due.last[1]:
        return max(first_day_from(due.last[1], zone).begins_us, now_us + 1)
    try:
        outcome = await platform.writer.submit(
            _grant(due.account_id, amount, day), riders=(_note(due.account_id, day),)
        )
    except Contended:
        return now_us + 1
    except Refused as refused:
        # Given under this date before the time zone changed, or by somebody else; or the account can hold no more.
        _log.info("daily_credits_refused", account_id=str(due.account_id), code=refused.code)
        return day.ends_us
    return day.ends_us if outcome.replayed else _GIVEN


def _grant(account_id: UUID, amount: int, day: LocalDay) -> Grant:
    return Grant(
        account_id=account_id,
        command_key=f"{OWN_KEY_PREFIX}daily:{day.date.isoformat()}",
        actor=ACTOR,
        amount_microcredits=amount,
        reason="daily credits",
        priority=PRIORITY,
        expires_at_us=day.ends_us,
    )


def _note(account_id: UUID, day: LocalDay) -> Rider:
    parameters: dict[str, object] = {
        "account_id": account_id,
        "local_day": day.date,
        "begins_at": from_us(day.begins_us),
        "ends_at": from_us(day.ends_us),
    }
    return Rider(guard=(sql.GUARD_DAY, parameters), writes=((sql.NOTE_DAY, parameters),))


async def _read_due(database: Database, now_us: int) -> list[_Due]:
    async with database.autocommit() as connection:
        cursor = await connection.execute(sql.READ_DUE_DAILY_CREDITS, {"now": from_us(now_us), "limit": BATCH})
        rows = await cursor.fetchall()
    return [_due_of_row(row) for row in rows]


def _due_of_row(row: tuple[Any, ...]) -> _Due:
    last = None if row[1] is None else (to_us(row[1]), to_us(row[2]))
    plans = [Plan(name, version, "") for name, version in zip(row[3] or (), row[4] or (), strict=True)]
    return _Due(row[0], last, tuple(plans))


async def _put_off(database: Database, later: Mapping[UUID, int | None], now_us: int) -> None:
    if not later:
        return
    due_ats: list[datetime | None] = [None if due_us is None else from_us(due_us) for due_us in later.values()]
    parameters = {"account_ids": list(later), "due_ats": due_ats, "now": from_us(now_us)}
    async with database.autocommit() as connection:
        await connection.execute(sql.PUT_OFF_DAILY_CREDITS, parameters)
