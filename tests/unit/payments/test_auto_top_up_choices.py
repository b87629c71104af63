"""Which pack an automatic top-up buys, and in which month it counts."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import to_us
from workers.payments.auto_top_up.choosing import Catalogue, offer_for
from workers.payments.auto_top_up.months import month_at
from workers.payments.catalogue import Offer, PackDefinition, Price, Version
from workers.payments.errors import CurrencyNotOffered, PackNotFound
from workers.payments.money import Money

CREDIT = 1_000_000
ZONES = ("UTC", "Europe/Moscow", "Pacific/Kiritimati", "Pacific/Niue", "America/Sao_Paulo", "Asia/Tehran")


def pack(name: str, amount: int, cents: int | None, *, enabled: bool = True) -> Version[PackDefinition]:
    prices = {} if cents is None else {"us": Price(Money(cents, "USD"), tax_inclusive=True)}
    definition = PackDefinition(
        name=name, titles={"en": name}, credits_microcredits=amount * CREDIT, prices=prices, enabled=enabled
    )
    return Version(version=1, definition=definition, created_at_us=0, created_by="test")


def catalogue(*packs: Version[PackDefinition]) -> Catalogue:
    return Catalogue({each.definition.name: each for each in packs})


def name_of(offer: Offer[PackDefinition]) -> str:
    return offer.product.definition.name


SHOP = catalogue(
    pack("small", 100, 200),
    pack("large", 1_000, 1_000),
    pack("rebate", 800, 900),
    pack("old", 5_000, 100, enabled=False),
    pack("elsewhere", 9_000, None),
)


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        (1, "small"),
        (100, "small"),
        (101, "rebate"),
        (800, "rebate"),
        (801, "large"),
        (1_000, "large"),
        (9_999, "large"),
    ],
)
def test_the_cheapest_pack_that_is_enough_is_bought_or_else_the_biggest(missing: int, name: str) -> None:
    assert name_of(offer_for(SHOP.offers("us"), missing * CREDIT)) == name


def test_of_two_packs_that_bring_most_the_cheaper_one_is_bought() -> None:
    shop = catalogue(pack("dear", 100, 300), pack("cheap", 100, 200))

    assert name_of(offer_for(shop.offers("us"), 500 * CREDIT)) == "cheap"


def test_only_what_is_for_sale_in_the_region_is_offered() -> None:
    assert sorted(name_of(offer) for offer in SHOP.offers("us")) == ["large", "rebate", "small"]
    assert SHOP.offers("jp") == []
    with pytest.raises(PackNotFound):
        SHOP.offer("old", "us")
    with pytest.raises(CurrencyNotOffered):
        SHOP.offer("elsewhere", "us")


@pytest.mark.parametrize(
    ("moment", "zone", "first", "ends"),
    [
        (datetime(2026, 10, 31, 20, 59, 59, tzinfo=UTC), "Europe/Moscow", date(2026, 10, 1), (2026, 10, 31, 21)),
        (datetime(2026, 10, 31, 21, tzinfo=UTC), "Europe/Moscow", date(2026, 11, 1), (2026, 11, 30, 21)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), None, date(2026, 12, 1), (2027, 1, 1, 0)),
        (datetime(2026, 12, 31, 10, tzinfo=UTC), "Pacific/Kiritimati", date(2027, 1, 1), (2027, 1, 31, 10)),
        (datetime(2026, 2, 28, 12, tzinfo=UTC), "Nowhere/Known", date(2026, 2, 1), (2026, 3, 1, 0)),
    ],
)
def test_a_month_is_that_of_the_time_zone(
    moment: datetime, zone: str | None, first: date, ends: tuple[int, int, int, int]
) -> None:
    month = month_at(to_us(moment), zone)

    assert month.first == first
    assert month.ends_us == to_us(datetime(*ends, tzinfo=UTC))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.sampled_from(ZONES))  # noqa: DTZ001 - the strategy adds the zone
def test_months_follow_each_other_without_a_gap(moment: datetime, zone: str) -> None:
    month = month_at(to_us(moment), zone)

    assert month.ends_us > to_us(moment)
    assert month_at(month.ends_us - 1, zone) == month
    after = month_at(month.ends_us, zone)
    assert (after.first.year * 12 + after.first.month) - (month.first.year * 12 + month.first.month) == 1
