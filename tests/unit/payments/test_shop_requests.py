"""What is said of regions, packs and plans, and what of it is refused."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from workers.payments.catalogue import (
    PackDefinition,
    PackRequest,
    PlanDefinition,
    PlanRequest,
    Region,
    RegionRequest,
    price_key,
    price_of,
    read_price_key,
    title_of,
)
from workers.payments.errors import CurrencyNotOffered, InvalidPack, InvalidPlan, InvalidRegion
from workers.payments.money import Money

REGIONS = {
    "us": Region(name="us", currency="USD", tax_inclusive=False, countries=("PR", "US")),
    "world": Region(name="world", currency="USD", tax_inclusive=True),
    "jp": Region(name="jp", currency="JPY", tax_inclusive=True, countries=("JP",)),
    "kw": Region(name="kw", currency="KWD", tax_inclusive=True, countries=("KW",)),
}


def region(**fields: Any) -> RegionRequest:
    body = {"currency": "EUR", "tax_inclusive": True, "countries": ["DE", "FR"], **fields}
    return msgspec.convert(body, RegionRequest)


def pack(**fields: Any) -> PackDefinition:
    body = {"titles": {"en": "Starter"}, "credits": "1000", "prices": {"us": "9.99"}, **fields}
    return msgspec.convert(body, PackRequest).definition("starter", REGIONS)


def plan(**fields: Any) -> PlanDefinition:
    body = {"titles": {"en": "Plus"}, "credits_per_period": "2000", "prices": {"us": "14.99"}, **fields}
    return msgspec.convert(body, PlanRequest).definition("plus", REGIONS)


@pytest.mark.parametrize(
    ("where", "price", "money"),
    [
        ("us", "9.99", Money(999, "USD")),
        ("us", "10", Money(1_000, "USD")),
        ("us", "0.01", Money(1, "USD")),
        ("jp", "1500", Money(1_500, "JPY")),
        ("jp", "1500.00", Money(1_500, "JPY")),
        ("kw", "3.075", Money(3_075, "KWD")),
        ("kw", "3.1", Money(3_100, "KWD")),
    ],
)
def test_a_price_is_whole_minor_units_of_the_currency_of_its_region(where: str, price: str, money: Money) -> None:
    assert price_of(pack(prices={where: price}), where) == money


@pytest.mark.parametrize(
    ("where", "price", "message"),
    [
        ("us", "9.999", "prices.us: 9.999 is not an amount in USD, which has 2 decimal places"),
        ("jp", "1500.5", "prices.jp: 1500.5 is not an amount in JPY, which has 0 decimal places"),
        ("kw", "3.0751", "prices.kw: 3.0751 is not an amount in KWD, which has 3 decimal places"),
        ("us", "0.00", "prices.us: a price is above zero"),
        ("moon", "1", "prices.moon: there is no such region"),
    ],
)
@pytest.mark.parametrize(("make", "error"), [(pack, InvalidPack), (plan, InvalidPlan)])
def test_a_price_that_cannot_be_paid_is_refused_by_its_name(
    make: Callable[..., object], error: type[Exception], where: str, price: str, message: str
) -> None:
    with pytest.raises(error) as refused:
        make(prices={where: price})

    assert str(refused.value) == message


@pytest.mark.parametrize("price", ["-1", "1e3", "1,50", " 1", "1\n", "", ".5", "1.", "9" * 16, 9.99, 10, None])
def test_a_price_that_is_no_decimal_text_is_refused_before_anything_is_looked_up(price: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="prices"):
        pack(prices={"us": price})


@pytest.mark.parametrize(
    "fields",
    [
        {"credits": "0"},
        {"credits": "9999999999999"},
        {"titles": {"de": "Start"}},
    ],
)
def test_a_pack_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidPack, match=next(iter(fields))):
        pack(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"credits": "1.0000001"},
        {"credits": 1000},
        {"credits": "-1"},
        {"titles": {"en": ""}},
        {"titles": {"en": " x"}},
        {"titles": {"en": "a\nb"}},
        {"titles": {"xx": "?"}},
        {"expires_after_days": 0},
        {"expires_after_days": 3_651},
        {"expires_after_days": 1.5},
        {"prices": {"US": "1"}},
        {"prices": {"u:s": "1"}},
        {"currency": "USD"},
    ],
)
def test_a_field_of_a_pack_that_is_not_of_its_form_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        pack(**fields)


def test_a_plan_is_kept_in_microcredits() -> None:
    made = plan(
        months=12, rollover_cap_credits="500.5", daily_free_credits="10", change_grant_credits="0.00", enabled=False
    )

    assert (made.months, made.credits_microcredits, made.rollover_cap_microcredits) == (12, 2_000_000_000, 500_500_000)
    assert (made.daily_free_microcredits, made.change_grant_microcredits) == (10_000_000, 0)
    assert (made.proration, made.enabled) == ("none", False)


@pytest.mark.parametrize(
    "fields",
    [{"months": 0}, {"months": 13}, {"proration": "full"}, {"daily_free_credits": "-1"}, {"rollover_cap_credits": 1}],
)
def test_a_field_of_a_plan_that_is_not_of_its_form_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        plan(**fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("eu", {"currency": "XTS"}, "currency: XTS is not a currency"),
        ("eu", {"currency": "XAU"}, "currency: XAU is not a currency"),
        ("eu", {"countries": ["ZZ"]}, "countries: ZZ is not a country"),
        ("eu", {"countries": ["DE", "DE"]}, "named twice"),
        ("dollars", {"currency": "USD", "countries": ["CA", "US"]}, "US pays in USD in us already"),
        ("dollars", {"currency": "USD", "countries": []}, "world has all other countries for USD already"),
        ("us", {"currency": "CAD", "tax_inclusive": False}, "currency: prices were set for USD"),
        ("us", {"currency": "USD", "tax_inclusive": True}, "tax_inclusive: prices were set"),
    ],
)
def test_a_region_that_makes_no_sense_beside_the_others_is_refused(
    name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRegion, match=message):
        region(**fields).definition(name, REGIONS)


def test_a_region_may_have_other_countries_and_a_country_other_currencies() -> None:
    moved = region(currency="USD", tax_inclusive=False, countries=["US", "GU"]).definition("us", REGIONS)
    euros = region(countries=["US", "DE"]).definition("eu", REGIONS)

    assert moved.countries == ("GU", "US")
    assert euros.countries == ("DE", "US")


def test_what_is_stored_is_read_back_as_it_was() -> None:
    made = plan(titles={"en": "Plus", "ja": "プラス"}, prices={"us": "14.99", "jp": "2200"})

    assert msgspec.json.decode(msgspec.json.encode(made), type=PlanDefinition) == made


def test_a_stored_version_needs_nothing_else_to_be_priced() -> None:
    stored = b"""{"name":"plus","titles":{"en":"Plus"},"months":1,"credits_microcredits":2000000000,
        "prices":{"us":{"money":{"minor":1499,"currency":"USD"},"tax_inclusive":false}}}"""

    assert price_of(msgspec.json.decode(stored, type=PlanDefinition), "us") == Money(1_499, "USD")


def test_a_product_has_no_price_where_it_was_given_none() -> None:
    with pytest.raises(CurrencyNotOffered, match="region jp"):
        price_of(pack(), "jp")


def test_a_title_is_in_the_language_that_was_asked_for_or_in_english() -> None:
    made = pack(titles={"en": "Starter", "de": "Für den Anfang"})

    assert [title_of(made, language) for language in ("de", "ja", "xx")] == ["Für den Anfang", "Starter", "Starter"]


def test_the_key_of_a_price_can_be_read_again() -> None:
    assert read_price_key(price_key("plus-2", 12, "eu")) == ("plus-2", 12, "eu")


@pytest.mark.parametrize(
    "text", ["", "plus", "plus:1", "plus:0:eu", "plus:x:eu", "plus:1:eu:x", "plus:1:eu\n", "a b:1:eu"]
)
def test_what_is_not_the_key_of_a_price_is_told_apart(text: str) -> None:
    assert read_price_key(text) is None
