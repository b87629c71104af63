"""What an account is to buy by itself: below which balance, what, for how much in a month, and by what it is paid."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.errors import AccountNotFound
from ledger.rows import from_us
from workers.payments.auto_top_up.choosing import Catalogue, offer_for
from workers.payments.auto_top_up.methods import find_method, sql
from workers.payments.auto_top_up.months import Month, month_at
from workers.payments.catalogue import PACK, REGION, newest_versions, region_meant
from workers.payments.errors import AutoTopUpNotFound, CurrencyNotOffered, InvalidAutoTopUp, SavedMethodMissing
from workers.payments.facts import SavedMethod
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money


class AutoTopUpWish(Struct, frozen=True, kw_only=True):
    """What somebody wants an account to buy by itself: a pack, or what brings the balance up to a target."""

    account_id: UUID
    threshold_microcredits: int
    pack: str | None
    target_microcredits: int | None
    gateway: str
    monthly_cap: Money
    """For a calendar month of the account's time zone, before taxes that a gateway adds. Its currency is paid in."""
    country: str | None = None


class AutoTopUp(Struct, frozen=True, kw_only=True):
    """What an account buys by itself, and how that stands."""

    account_id: UUID
    threshold_microcredits: int
    target_microcredits: int | None
    pack: str | None
    region: str
    gateway: str
    monthly_cap: Money
    enabled: bool
    suspended_at: datetime | None
    in_flight: bool
    last_number: int
    declines: int
    due_at: datetime | None
    time_zone: str | None
    locale: str | None
    method: SavedMethod | None

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `read_auto_top_up.sql`."""
        return cls(
            account_id=row[0],
            threshold_microcredits=row[1],
            target_microcredits=row[2],
            pack=row[3],
            region=row[4],
            gateway=row[5],
            monthly_cap=Money(row[6], row[7]),
            enabled=row[8],
            suspended_at=row[9],
            in_flight=row[10],
            last_number=row[11],
            declines=row[12],
            due_at=row[13],
            time_zone=row[14],
            locale=row[15],
            method=None if row[17] is None else SavedMethod(customer_id=row[16], method_id=row[17], label=row[18]),
        )

    @property
    def is_on(self) -> bool:
        """Whether anything new may be bought."""
        return self.enabled and self.suspended_at is None


class ShownAutoTopUp(Struct, frozen=True, kw_only=True):
    """An automatic top-up as its owner sees it."""

    wish: AutoTopUp
    charged_this_month: Money
    """Or perhaps charged: what is not known to have failed."""


async def set_auto_top_up(database: Database, gateways: Gateways, wish: AutoTopUpWish, *, now_us: int) -> None:
    """Say what an account is to buy by itself. It is on from now, also where it was suspended.

    Raises:
        InvalidAutoTopUp: it makes no sense, or would never buy anything.
        GatewayNotConfigured: there is no such gateway, or it has no keys here.
        SavedMethodMissing: the gateway keeps nothing of this account that could be charged.
        PackNotFound, CurrencyNotOffered: there is no such pack for sale, or not in this currency.
        AccountNotFound: there is no such account.
    """
    gateways.get(wish.gateway)
    if (wish.pack is None) == (wish.target_microcredits is None):
        raise InvalidAutoTopUp("pack", "either pack or target says what to buy")
    if wish.target_microcredits is not None and wish.target_microcredits <= wish.threshold_microcredits:
        raise InvalidAutoTopUp("target", "must be above the threshold")
    if not wish.monthly_cap.minor:
        raise InvalidAutoTopUp("monthly_cap", "must be more than nothing")
    if await find_method(database, wish.account_id, wish.gateway) is None:
        raise SavedMethodMissing(wish.gateway)
    parameters = {
        "account_id": wish.account_id,
        "threshold": wish.threshold_microcredits,
        "target": wish.target_microcredits,
        "pack": wish.pack,
        "region": await _region(database, wish),
        "gateway": wish.gateway,
        "cap_minor": wish.monthly_cap.minor,
        "cap_currency": wish.monthly_cap.currency,
        "now": from_us(now_us),
    }
    try:
        async with database.autocommit() as connection:
            await connection.execute(sql.UPSERT_AUTO_TOP_UP, parameters)
    except psycopg.errors.ForeignKeyViolation:
        raise AccountNotFound(wish.account_id) from None


async def show_auto_top_up(database: Database, account_id: UUID, *, now_us: int) -> ShownAutoTopUp:
    """Return what an account buys by itself.

    Raises:
        AutoTopUpNotFound: nothing.
    """
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_AUTO_TOP_UP, {"account_id": account_id})).fetchone()
        wish = None if row is None else AutoTopUp.of_row(row)
        if wish is None or not wish.enabled:
            raise AutoTopUpNotFound(account_id)
        charged = await charged_in(connection, wish, month_at(now_us, wish.time_zone))
    return ShownAutoTopUp(wish=wish, charged_this_month=charged)


async def disable_auto_top_up(database: Database, account_id: UUID) -> None:
    """Let an account buy nothing by itself any more. What the gateway was asked for already may still go through."""
    async with database.autocommit() as connection:
        await connection.execute(sql.DISABLE_AUTO_TOP_UP, {"account_id": account_id})


async def charged_in(connection: AsyncConnection[Any], wish: AutoTopUp, month: Month) -> Money:
    """Return what an account was charged in a month, in the currency of its cap, or may have been."""
    parameters = {"account_id": wish.account_id, "month": month.first, "currency": wish.monthly_cap.currency}
    row = await (await connection.execute(sql.SUM_OF_MONTH, parameters)).fetchone()
    assert row is not None, "a sum is one row"
    return Money(row[0], wish.monthly_cap.currency)


async def _region(database: Database, wish: AutoTopUpWish) -> str:
    """Return where an account buys, and make sure that something is sold there that the cap allows."""
    regions = (version.definition for version in (await newest_versions(database, REGION)).values())
    region = region_meant(regions, currency=wish.monthly_cap.currency, country=wish.country).name
    catalogue = Catalogue(await newest_versions(database, PACK))
    if wish.pack is not None:
        price = catalogue.offer(wish.pack, region).price.money
    else:
        offers = catalogue.offers(region)
        if not offers:
            raise CurrencyNotOffered(wish.monthly_cap.currency, wish.country or "")
        assert wish.target_microcredits is not None, "one of them is given"
        price = offer_for(offers, wish.target_microcredits - wish.threshold_microcredits).price.money
    if price.minor > wish.monthly_cap.minor:
        raise InvalidAutoTopUp("monthly_cap", f"is below {price}, which is what it would buy")
    return region
