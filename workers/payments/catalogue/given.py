"""What administrators and `catalogue.toml` say of regions, packs and plans, and how it is checked.

The types are those of requests to the API too: what a field cannot be is refused before anything is looked up.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from ledger.amounts import parse_credits
from ledger.errors import InvalidAmount
from workers.payments.catalogue.definitions import (
    FALLBACK,
    Language,
    PackDefinition,
    PlanDefinition,
    Price,
    Proration,
    Region,
)
from workers.payments.catalogue.iso import COUNTRIES, CURRENCIES
from workers.payments.errors import InvalidPack, InvalidPlan, InvalidRegion, PaymentError
from workers.payments.money import Money, NotMoney, places

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9_-]{0,98}[a-z0-9])?$(?!\n)"
MAX_DAYS: Final = 3_650
MAX_MONTHS: Final = 12
MAX_PRICES: Final = 500

ProductName: TypeAlias = Annotated[str, Meta(pattern=NAME_PATTERN)]
Title: TypeAlias = Annotated[str, Meta(pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]{0,98}[^\s\x00-\x1f])?$(?!\n)")]
PriceText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$(?!\n)",
        description="A decimal with no more places than the currency of the region has, such as 9.99.",
    ),
]
CreditsText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,13}(\.[0-9]{1,6})?$(?!\n)",
        description="A decimal string of credits with at most 6 places, such as 12.5.",
    ),
]
Country: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1, two letters.")]
Currency: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217.")]
Prices: TypeAlias = Annotated[dict[ProductName, PriceText], Meta(max_length=MAX_PRICES)]

Invalid: TypeAlias = Callable[[str, str], PaymentError]


class RegionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a region is, apart from its name. Its currency and how it is taxed are decided once."""

    currency: Currency
    tax_inclusive: bool
    countries: Annotated[tuple[Country, ...], Meta(max_length=300)] = ()
    """None: every country that no other region with this currency has."""

    def definition(self, name: str, regions: Mapping[str, Region]) -> Region:
        """Return the region, beside those that there are.

        Raises:
            InvalidRegion: a code is none, a country would have two prices in one currency, or it would change what was
                priced in it.
        """
        if self.currency not in CURRENCIES:
            raise InvalidRegion("currency", f"{self.currency} is not a currency that people pay in (ISO 4217)")
        for country in self.countries:
            if country not in COUNTRIES:
                raise InvalidRegion("countries", f"{country} is not a country (ISO 3166)")
        if len(set(self.countries)) != len(self.countries):
            raise InvalidRegion("countries", "a country is named twice")
        region = Region(
            name=name, currency=self.currency, tax_inclusive=self.tax_inclusive, countries=tuple(sorted(self.countries))
        )
        _check_against_itself(region, regions.get(name))
        _check_against_others(region, regions)
        return region


class PackRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pack is, apart from its name."""

    titles: dict[Language, Title]
    """By language; English is needed, and stands in for those that are missing."""
    credits: CreditsText
    prices: Prices
    """By the name of the region."""
    expires_after_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None
    enabled: bool = True

    def definition(self, name: str, regions: Mapping[str, Region]) -> PackDefinition:
        """Return the pack, with its prices in the currencies of these regions.

        Raises:
            InvalidPack: it makes no sense.
        """
        return PackDefinition(
            name=name,
            titles=_titles(self.titles, InvalidPack),
            credits_microcredits=_credits("credits", self.credits, InvalidPack),
            prices=_prices(self.prices, regions, InvalidPack),
            expires_after_days=self.expires_after_days,
            enabled=self.enabled,
        )


class PlanRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan is, apart from its name."""

    titles: dict[Language, Title]
    """By language; English is needed, and stands in for those that are missing."""
    months: Annotated[int, Meta(ge=1, le=MAX_MONTHS)] = 1
    credits_per_period: CreditsText
    prices: Prices
    """By the name of the region."""
    rollover_cap_credits: CreditsText = "0"
    daily_free_credits: CreditsText = "0"
    change_grant_credits: CreditsText = "0"
    proration: Proration = "none"
    enabled: bool = True

    def definition(self, name: str, regions: Mapping[str, Region]) -> PlanDefinition:
        """Return the plan, with its prices in the currencies of these regions.

        Raises:
            InvalidPlan: it makes no sense.
        """
        return PlanDefinition(
            name=name,
            titles=_titles(self.titles, InvalidPlan),
            months=self.months,
            credits_microcredits=_credits("credits_per_period", self.credits_per_period, InvalidPlan),
            prices=_prices(self.prices, regions, InvalidPlan),
            rollover_cap_microcredits=_credits_or_none("rollover_cap_credits", self.rollover_cap_credits, InvalidPlan),
            daily_free_microcredits=_credits_or_none("daily_free_credits", self.daily_free_credits, InvalidPlan),
            change_grant_microcredits=_credits_or_none("change_grant_credits", self.change_grant_credits, InvalidPlan),
            proration=self.proration,
            enabled=self.enabled,
        )


def _check_against_itself(region: Region, before: Region | None) -> None:
    if before is not None and region.currency != before.currency:
        raise InvalidRegion("currency", f"prices were set for {before.currency}; make another region")
    if before is not None and region.tax_inclusive != before.tax_inclusive:
        raise InvalidRegion("tax_inclusive", "prices were set for how the region is taxed; make another region")


def _check_against_others(region: Region, regions: Mapping[str, Region]) -> None:
    for other in regions.values():
        if other.name == region.name or other.currency != region.currency:
            continue
        if not other.countries and not region.countries:
            raise InvalidRegion("countries", f"{other.name} has all other countries for {region.currency} already")
        for country in region.countries:
            if country in other.countries:
                raise InvalidRegion("countries", f"{country} pays in {region.currency} in {other.name} already")


def _titles(titles: Mapping[Language, str], invalid: Invalid) -> Mapping[Language, str]:
    if FALLBACK not in titles:
        raise invalid("titles", "a title in English (en) is needed")
    return titles


def _credits(field: str, text: str, invalid: Invalid) -> int:
    try:
        return parse_credits(text)
    except InvalidAmount as error:
        raise invalid(field, error.reason) from None


def _credits_or_none(field: str, text: str, invalid: Invalid) -> int:
    return _credits(field, text, invalid) if text.strip("0.") else 0


def _prices(prices: Mapping[str, str], regions: Mapping[str, Region], invalid: Invalid) -> Mapping[str, Price]:
    return {name: _price(name, text, regions, invalid) for name, text in sorted(prices.items())}


def _price(name: str, text: str, regions: Mapping[str, Region], invalid: Invalid) -> Price:
    field = f"prices.{name}"
    region = regions.get(name)
    if region is None:
        raise invalid(field, "there is no such region")
    try:
        money = Money.parse(text, region.currency)
    except NotMoney:
        raise invalid(
            field, f"{text} is not an amount in {region.currency}, which has {places(region.currency)} decimal places"
        ) from None
    if money.minor == 0:
        raise invalid(field, "a price is above zero")
    return Price(money, region.tax_inclusive)
