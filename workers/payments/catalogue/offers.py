"""What is offered to whom: the region that a currency and a country mean, and the price of a product in it."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from ledger.database import Database
from workers.payments.catalogue.definitions import PackDefinition, PlanDefinition, Price, Region, full_price_of
from workers.payments.catalogue.versions import Version, newest_packs, newest_plans, newest_regions
from workers.payments.errors import CurrencyNotOffered, PackNotFound, PlanNotFound

Product = TypeVar("Product", PackDefinition, PlanDefinition)


class Offer(Struct, Generic[Product], frozen=True, kw_only=True):
    """A version of a pack or a plan, at its price in one region."""

    product: Version[Product]
    region: str
    price: Price


def region_meant(regions: Iterable[Region], *, currency: str | None, country: str | None) -> Region:
    """Return the region in which somebody who wants to pay in this currency, in this country, buys.

    A region that names the country comes before the one that has all others. Without a country it is the one that has
    all others, or else the first by name; without a currency too, the first by name that has all others.

    Raises:
        CurrencyNotOffered: there is none.
    """
    fitting = sorted(
        (region for region in regions if currency in {None, region.currency}),
        key=lambda region: (bool(region.countries), region.name),
    )
    if country is not None:
        named = [region for region in fitting if country in region.countries]
        fitting = named or [region for region in fitting if not region.countries]
    if not fitting:
        raise CurrencyNotOffered(currency or "", country or "")
    return fitting[0]


async def offered_packs(
    database: Database, *, currency: str | None, country: str | None
) -> list[Offer[PackDefinition]]:
    """Return the packs that are for sale to somebody, by price.

    Raises:
        CurrencyNotOffered: nothing is sold in this currency to this country.
    """
    region = await _region(database, currency, country)
    return _offers((await newest_packs(database)).values(), region)


async def offered_plans(
    database: Database, *, currency: str | None, country: str | None
) -> list[Offer[PlanDefinition]]:
    """Return the plans that are for sale to somebody, by price.

    Raises:
        CurrencyNotOffered: nothing is sold in this currency to this country.
    """
    region = await _region(database, currency, country)
    return _offers((await newest_plans(database)).values(), region)


async def current_pack(
    database: Database, name: str, *, currency: str | None, country: str | None = None
) -> Offer[PackDefinition]:
    """Return a pack as it is for sale now, at its price for somebody.

    Raises:
        PackNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it is not sold in this currency to this country.
    """
    version = (await newest_packs(database)).get(name)
    if version is None or not version.definition.enabled:
        raise PackNotFound(name)
    return _offer(version, await _region(database, currency, country), currency, country)


async def current_plan(
    database: Database, name: str, *, currency: str | None, country: str | None = None
) -> Offer[PlanDefinition]:
    """Return a plan as it is for sale now, at its price for somebody.

    Raises:
        PlanNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it is not sold in this currency to this country.
    """
    version = (await newest_plans(database)).get(name)
    if version is None or not version.definition.enabled:
        raise PlanNotFound(name)
    return _offer(version, await _region(database, currency, country), currency, country)


async def plan_in_region(database: Database, name: str, *, region: str) -> Offer[PlanDefinition]:
    """Return a plan as it is for sale now, at its price in a region: what a subscriber there can change to.

    Raises:
        PlanNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it has no price in this region.
    """
    version = (await newest_plans(database)).get(name)
    if version is None or not version.definition.enabled:
        raise PlanNotFound(name)
    return Offer(product=version, region=region, price=full_price_of(version.definition, region))


async def pack_in_region(database: Database, name: str, *, region: str) -> Offer[PackDefinition]:
    """Return a pack as it is for sale now, at its price in a region: what an automatic top-up buys there.

    Raises:
        PackNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it has no price in this region.
    """
    version = (await newest_packs(database)).get(name)
    if version is None or not version.definition.enabled:
        raise PackNotFound(name)
    return Offer(product=version, region=region, price=full_price_of(version.definition, region))


async def _region(database: Database, currency: str | None, country: str | None) -> Region:
    regions = await newest_regions(database)
    return region_meant((version.definition for version in regions.values()), currency=currency, country=country)


def _offers(versions: Iterable[Version[Product]], region: Region) -> list[Offer[Product]]:
    found = [
        Offer(product=version, region=region.name, price=version.definition.prices[region.name])
        for version in versions
        if version.definition.enabled and region.name in version.definition.prices
    ]
    return sorted(found, key=lambda offer: (offer.price.money.minor, offer.product.definition.name))


def _offer(version: Version[Product], region: Region, currency: str | None, country: str | None) -> Offer[Product]:
    price = version.definition.prices.get(region.name)
    if price is None:
        raise CurrencyNotOffered(currency or region.currency, country or "")
    return Offer(product=version, region=region.name, price=price)
