"""What a region, a pack and a plan are, as their versions are stored. Nothing here changes once it was written."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Struct

from workers.payments.errors import CurrencyNotOffered
from workers.payments.money import Money

Language: TypeAlias = Literal["en", "ru", "de", "fr", "es", "ja", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
FALLBACK: Final = "en"
"""The language that every title has."""

Proration: TypeAlias = Literal["none"]
"""With "none" a change of plan at once begins a new period at its full price, and the credits left are kept."""

Titles: TypeAlias = Mapping[Language, str]

_PRICE_KEY: Final = re.compile(r"([a-z0-9_-]{1,100}):([1-9][0-9]{0,8}):([a-z0-9_-]{1,100})", re.ASCII)


class Region(Struct, frozen=True, kw_only=True):
    """Countries with one price list. Its currency and how it is taxed never change: prices were set for them."""

    name: str
    currency: str
    tax_inclusive: bool
    """Whether prices have all taxes in them; otherwise the gateway adds what is due."""
    countries: tuple[str, ...] = ()
    """ISO 3166; none: every country that no other region with this currency has."""


class Price(Struct, frozen=True):
    """What something costs in a region."""

    money: Money
    tax_inclusive: bool


class PackDefinition(Struct, frozen=True, kw_only=True):
    """Credits that are paid for once."""

    name: str
    titles: Titles
    credits_microcredits: int
    prices: Mapping[str, Price]
    """By the name of the region."""
    expires_after_days: int | None = None
    """How long after the payment the credits can be spent; `None`: for ever."""
    enabled: bool = True
    """Whether it is for sale."""


class PlanDefinition(Struct, frozen=True, kw_only=True):
    """Credits that are paid for again and again, once a period."""

    name: str
    titles: Titles
    months: int
    """How long a period is."""
    credits_microcredits: int
    """What a paid period brings."""
    prices: Mapping[str, Price]
    rollover_cap_microcredits: int = 0
    """How much of what is left at the end of a period goes on into the next one; 0: nothing."""
    daily_free_microcredits: int = 0
    """What a subscriber is given each local day, on top of what is paid for."""
    change_grant_microcredits: int = 0
    """What a subscriber is given for moving to this plan from another one at once."""
    proration: Proration = "none"
    enabled: bool = True
    """Whether it is for sale. Subscriptions that there are go on."""


class PriceKey(NamedTuple):
    """Names the price of a plan to gateways, which keep it with the subscription."""

    plan: str
    version: int
    region: str


def price_of(product: PackDefinition | PlanDefinition, region: str) -> Money:
    """Return what a version of a pack or a plan costs in a region.

    Raises:
        CurrencyNotOffered: it has no price there.
    """
    return full_price_of(product, region).money


def full_price_of(product: PackDefinition | PlanDefinition, region: str) -> Price:
    """Return what a version of a pack or a plan costs in a region, and whether taxes are in it.

    Raises:
        CurrencyNotOffered: it has no price there.
    """
    price = product.prices.get(region)
    if price is None:
        raise CurrencyNotOffered(f"region {region[:100]}")
    return price


def title_of(product: PackDefinition | PlanDefinition, language: str) -> str:
    """Return what it is called in a language, or in English where there is no such title."""
    titles = {str(known): title for known, title in product.titles.items()}
    return titles.get(language) or titles[FALLBACK]


def price_key(plan: str, version: int, region: str) -> str:
    """Return the name of a plan's price, as gateways keep it with a subscription."""
    return f"{plan}:{version}:{region}"


def read_price_key(text: str) -> PriceKey | None:
    """Return what `price_key` made the text of; `None` for any other text."""
    match = _PRICE_KEY.fullmatch(text)
    return None if match is None else PriceKey(match.group(1), int(match.group(2)), match.group(3))
