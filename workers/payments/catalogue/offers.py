"""What is offered to whom: the region that a currency and a country mean, and the price of a product in it."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from ledger.database import Database
from workers.payments.catalogue.definitions import PackDefinition, PlanDefinition, Price, Region, full_price_of
from workers.payments.catalogue.versions import REGION, Kind, Version, newest_versions
from workers.payments.errors import CurrencyNotOffered

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


async def offered(
    database: Database, kind: Kind[Product], *, currency: str | None, country: str | None
) -> list[Offer[Product]]:
    """Return the packs, or the plans, that are for sale to somebody, by price.

    Raises:
        CurrencyNotOffered: nothing is sold in this currency to this country.
    """
    region = await _region(database, currency, country)
    found = [
        Offer(product=version, region=region.name, price=version.definition.prices[region.name])
        for version in (await newest_versions(database, kind)).values()
        if version.definition.enabled and region.name in version.definition.prices
    ]
    return sorted(found, key=lambda offer: (offer.price.money.minor, offer.product.definition.name))


async def current_offer(
    database: Database, kind: Kind[Product], name: str, *, currency: str | None, country: str | None = None
) -> Offer[Product]:
    """Return a pack or a plan as it is for sale now, at its price for somebody.

    Raises:
        PackNotFound, PlanNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it is not sold in this currency to this country.
    """
    version = await _for_sale(database, kind, name)
    region = await _region(database, currency, country)
    price = version.definition.prices.get(region.name)
    if price is None:
        raise CurrencyNotOffered(currency or region.currency, country or "")
    return Offer(product=version, region=region.name, price=price)


async def offer_in_region(database: Database, kind: Kind[Product], name: str, *, region: str) -> Offer[Product]:
    """Return a pack or a plan as it is for sale now, at its price in a region, where its buyer is known to be.

    Raises:
        PackNotFound, PlanNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it has no price in this region.
    """
    version = await _for_sale(database, kind, name)
    return Offer(product=version, region=region, price=full_price_of(version.definition, region))


async def _for_sale(database: Database, kind: Kind[Product], name: str) -> Version[Product]:
    version = (await newest_versions(database, kind)).get(name)
    if version is None or not version.definition.enabled:
        raise kind.not_found(name)
    return version


async def _region(database: Database, currency: str | None, country: str | None) -> Region:
    regions = await newest_versions(database, REGION)
    return region_meant((version.definition for version in regions.values()), currency=currency, country=country)
