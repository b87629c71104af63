"""How packs, plans, regions and their prices are shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, TypeAlias

from litestar.params import QueryParameter
from msgspec import Struct

from api.fields import END, credits_of
from ledger.rows import from_us
from workers.payments.catalogue import Language, Offer, PackDefinition, PlanDefinition, Price, Region, Version, title_of

_CURRENCY: Final = rf"^[A-Z]{{3}}{END}"
_COUNTRY: Final = rf"^[A-Z]{{2}}{END}"

InCurrency: TypeAlias = Annotated[
    str | None, QueryParameter(name="currency", pattern=_CURRENCY, schema_extra={"pattern": "^[A-Z]{3}$"})
]
InCountry: TypeAlias = Annotated[
    str | None, QueryParameter(name="country", pattern=_COUNTRY, schema_extra={"pattern": "^[A-Z]{2}$"})
]


class PriceAnswer(Struct, frozen=True, kw_only=True):
    """What something costs: a decimal with the places of its currency."""

    amount: str
    currency: str
    tax_inclusive: bool
    """Whether all taxes are in it; otherwise the gateway adds what is due."""


class PackAnswer(Struct, frozen=True, kw_only=True):
    """A pack that is for sale, at the caller's price. Titles are in the caller's language."""

    name: str
    version: int
    title: str
    credits: str
    expires_after_days: int | None
    """How long after the payment the credits can be spent; null: for ever."""
    region: str
    price: PriceAnswer


class PlanAnswer(Struct, frozen=True, kw_only=True):
    """A plan that is for sale, at the caller's price for a period. Titles are in the caller's language."""

    name: str
    version: int
    title: str
    months: int
    """How long a period is."""
    credits_per_period: str
    rollover_cap_credits: str
    """How much of what is left at the end of a period goes on into the next one."""
    daily_free_credits: str
    change_grant_credits: str
    """What a subscriber is given for moving to this plan from another one at once."""
    proration: str
    region: str
    price: PriceAnswer


class PackVersionAnswer(Struct, frozen=True, kw_only=True):
    """What a pack was made by one change, who made it and when. It never changes."""

    name: str
    version: int
    titles: dict[Language, str]
    credits: str
    expires_after_days: int | None
    prices: dict[str, PriceAnswer]
    """By the name of the region."""
    enabled: bool
    created_at: datetime
    created_by: str


class PlanVersionAnswer(Struct, frozen=True, kw_only=True):
    """What a plan was made by one change, who made it and when. It never changes."""

    name: str
    version: int
    titles: dict[Language, str]
    months: int
    credits_per_period: str
    rollover_cap_credits: str
    daily_free_credits: str
    change_grant_credits: str
    proration: str
    prices: dict[str, PriceAnswer]
    """By the name of the region."""
    enabled: bool
    created_at: datetime
    created_by: str


class RegionAnswer(Struct, frozen=True, kw_only=True):
    """Countries with one price list."""

    name: str
    currency: str
    tax_inclusive: bool
    countries: tuple[str, ...]
    """ISO 3166; none: every country that no other region with this currency has."""


class RegionVersionAnswer(RegionAnswer, frozen=True, kw_only=True):
    """What a region was made by one change, who made it and when. It never changes."""

    version: int
    created_at: datetime
    created_by: str


def price_answer(price: Price) -> PriceAnswer:
    """Show a price."""
    return PriceAnswer(amount=price.money.text, currency=price.money.currency, tax_inclusive=price.tax_inclusive)


def _prices(prices: Mapping[str, Price]) -> dict[str, PriceAnswer]:
    return {region: price_answer(price) for region, price in sorted(prices.items())}


def pack_answer(offer: Offer[PackDefinition], language: str) -> PackAnswer:
    """Show a pack to somebody who reads this language."""
    pack = offer.product.definition
    return PackAnswer(
        name=pack.name,
        version=offer.product.version,
        title=title_of(pack, language),
        credits=credits_of(pack.credits_microcredits),
        expires_after_days=pack.expires_after_days,
        region=offer.region,
        price=price_answer(offer.price),
    )


def plan_answer(offer: Offer[PlanDefinition], language: str) -> PlanAnswer:
    """Show a plan to somebody who reads this language."""
    plan = offer.product.definition
    return PlanAnswer(
        name=plan.name,
        version=offer.product.version,
        title=title_of(plan, language),
        months=plan.months,
        credits_per_period=credits_of(plan.credits_microcredits),
        rollover_cap_credits=credits_of(plan.rollover_cap_microcredits),
        daily_free_credits=credits_of(plan.daily_free_microcredits),
        change_grant_credits=credits_of(plan.change_grant_microcredits),
        proration=plan.proration,
        region=offer.region,
        price=price_answer(offer.price),
    )


def region_answer(region: Region) -> RegionAnswer:
    """Show a region."""
    return RegionAnswer(
        name=region.name,
        currency=region.currency,
        tax_inclusive=region.tax_inclusive,
        countries=region.countries,
    )


def pack_version_answer(version: Version[PackDefinition]) -> PackVersionAnswer:
    """Show a version of a pack."""
    pack = version.definition
    return PackVersionAnswer(
        name=pack.name,
        version=version.version,
        titles=dict(sorted(pack.titles.items())),
        credits=credits_of(pack.credits_microcredits),
        expires_after_days=pack.expires_after_days,
        prices=_prices(pack.prices),
        enabled=pack.enabled,
        created_at=from_us(version.created_at_us),
        created_by=version.created_by,
    )


def plan_version_answer(version: Version[PlanDefinition]) -> PlanVersionAnswer:
    """Show a version of a plan."""
    plan = version.definition
    return PlanVersionAnswer(
        name=plan.name,
        version=version.version,
        titles=dict(sorted(plan.titles.items())),
        months=plan.months,
        credits_per_period=credits_of(plan.credits_microcredits),
        rollover_cap_credits=credits_of(plan.rollover_cap_microcredits),
        daily_free_credits=credits_of(plan.daily_free_microcredits),
        change_grant_credits=credits_of(plan.change_grant_microcredits),
        proration=plan.proration,
        prices=_prices(plan.prices),
        enabled=plan.enabled,
        created_at=from_us(version.created_at_us),
        created_by=version.created_by,
    )


def region_version_answer(version: Version[Region]) -> RegionVersionAnswer:
    """Show a version of a region."""
    region = version.definition
    return RegionVersionAnswer(
        name=region.name,
        currency=region.currency,
        tax_inclusive=region.tax_inclusive,
        countries=region.countries,
        version=version.version,
        created_at=from_us(version.created_at_us),
        created_by=version.created_by,
    )
