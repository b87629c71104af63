"""What is for sale in Postgres: versions that never change, and a beginning that is put there once."""

import asyncio

import msgspec
import psycopg
import pytest

from ledger.database import Database
from workers.payments.catalogue import (
    PACK,
    PLAN,
    REGION,
    PackRequest,
    PlanRequest,
    RegionRequest,
    current_offer,
    define_version,
    list_versions,
    newest_versions,
    pack_version,
    plan_version,
    price_of,
)
from workers.payments.catalogue.offers import offer_in_region, offered
from workers.payments.catalogue.seed import AUTHOR, read_seed, seed_shop
from workers.payments.errors import CurrencyNotOffered, InvalidRegion, PackNotFound, PlanNotFound
from workers.payments.money import Money

US = RegionRequest(currency="USD", tax_inclusive=False, countries=("US",))
WORLD = RegionRequest(currency="USD", tax_inclusive=True)
STARTER = PackRequest(titles={"en": "Starter"}, credits="1000", prices={"us": "9.99"})
PLUS = PlanRequest(titles={"en": "Plus"}, credits_per_period="2000", prices={"us": "14.99"})
CHANGE = msgspec.structs.replace


@pytest.fixture
async def shop(database: Database) -> Database:
    """A shop with one region."""
    await define_version(database, REGION, "us", US, changed_by="key:1")
    return database


async def test_a_change_is_a_new_version_and_says_who_made_it(shop: Database) -> None:
    first = await define_version(shop, PLAN, "plus", PLUS, changed_by="key:1")
    second = await define_version(shop, PLAN, "plus", CHANGE(PLUS, prices={"us": "19.99"}), changed_by="key:2")

    assert (first.version, second.version) == (1, 2)
    versions = await list_versions(shop, PLAN, "plus", limit=10)
    assert [(each.version, each.created_by) for each in versions] == [(2, "key:2"), (1, "key:1")]
    assert price_of(await plan_version(shop, "plus", 1), "us") == Money(1_499, "USD")
    assert price_of(await plan_version(shop, "plus", 2), "us") == Money(1_999, "USD")
    assert (await newest_versions(shop, PLAN))["plus"] == second


async def test_saying_the_same_again_changes_nothing(shop: Database) -> None:
    first = await define_version(shop, PACK, "starter", STARTER, changed_by="key:1")

    assert (
        await define_version(shop, PACK, "starter", CHANGE(STARTER, prices={"us": "9.990"}), changed_by="key:2")
        == first
    )


async def test_changes_at_the_same_time_are_numbered_one_after_the_other(shop: Database) -> None:
    changes = [CHANGE(STARTER, credits=str(number)) for number in range(1, 7)]

    made = await asyncio.gather(
        *(define_version(shop, PACK, "starter", change, changed_by="key:1") for change in changes)
    )

    assert sorted(version.version for version in made) == [1, 2, 3, 4, 5, 6]


async def test_of_two_regions_that_would_have_one_country_only_one_comes_to_be(shop: Database) -> None:
    made = await asyncio.gather(
        *(define_version(shop, REGION, name, WORLD, changed_by="key:1") for name in ("world", "rest")),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in made) == ["InvalidRegion", "Version"]
    assert len(await newest_versions(shop, REGION)) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shop_versions SET definition = '{}'",
        "DELETE FROM shop_versions",
        "TRUNCATE shop_versions",
    ],
)
async def test_a_version_never_changes(shop: Database, superuser_url: str, statement: str) -> None:
    await define_version(shop, PACK, "starter", STARTER, changed_by="key:1")

    with (
        psycopg.connect(superuser_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="a version of what is for sale never changes"),
    ):
        connection.execute(statement.encode())


async def test_what_makes_no_sense_leaves_nothing_behind(shop: Database) -> None:
    with pytest.raises(InvalidRegion):
        await define_version(shop, REGION, "us", CHANGE(US, currency="CAD"), changed_by="key:1")

    assert [version.version for version in await list_versions(shop, REGION, "us", limit=10)] == [1]


async def test_what_is_not_there_is_not_found(shop: Database) -> None:
    await define_version(shop, PACK, "starter", STARTER, changed_by="key:1")

    with pytest.raises(PackNotFound):
        await list_versions(shop, PACK, "nothing", limit=10)
    with pytest.raises(PackNotFound, match="starter@2"):
        await pack_version(shop, "starter", 2)
    with pytest.raises(PlanNotFound):
        await plan_version(shop, "starter", 1)
    with pytest.raises(PlanNotFound):
        await current_offer(shop, PLAN, "starter", currency="USD")


async def test_what_is_not_enabled_is_not_sold_but_its_versions_stay(shop: Database) -> None:
    await define_version(shop, PACK, "starter", STARTER, changed_by="key:1")
    await define_version(shop, PACK, "starter", CHANGE(STARTER, enabled=False), changed_by="key:1")

    for refused in (
        current_offer(shop, PACK, "starter", currency="USD"),
        offer_in_region(shop, PACK, "starter", region="us"),
    ):
        with pytest.raises(PackNotFound):
            await refused
    assert await offered(shop, PACK, currency="USD", country=None) == []
    assert (await pack_version(shop, "starter", 1)).enabled
    assert not (await newest_versions(shop, PACK))["starter"].definition.enabled


async def test_a_product_is_sold_where_it_has_a_price(shop: Database) -> None:
    await define_version(shop, REGION, "world", WORLD, changed_by="key:1")
    await define_version(shop, PACK, "starter", STARTER, changed_by="key:1")
    await define_version(shop, PLAN, "plus", PLUS, changed_by="key:1")

    offer = await current_offer(shop, PACK, "starter", currency="USD", country="US")

    assert (offer.region, offer.price.money, offer.price.tax_inclusive) == ("us", Money(999, "USD"), False)
    assert (await offer_in_region(shop, PLAN, "plus", region="us")).price.money == Money(1_499, "USD")
    for refused in (
        current_offer(shop, PACK, "starter", currency="USD"),
        current_offer(shop, PACK, "starter", currency="USD", country="DE"),
        current_offer(shop, PLAN, "plus", currency="EUR"),
        offer_in_region(shop, PLAN, "plus", region="world"),
    ):
        with pytest.raises(CurrencyNotOffered):
            await refused


async def test_a_new_installation_has_what_the_file_says_and_later_changes_are_left_alone(database: Database) -> None:
    sown, again = await asyncio.gather(seed_shop(database), seed_shop(database))
    await define_version(
        database,
        PACK,
        "starter",
        PackRequest(titles={"en": "Mine"}, credits="1", prices={"eu": "1"}),
        changed_by="key:1",
    )

    seed = read_seed()
    assert sorted([*sown, *again]) == sorted([*seed.pack, *seed.plan])
    assert await seed_shop(database) == []
    assert (await newest_versions(database, PACK))["starter"].definition.titles["en"] == "Mine"
    assert set(await newest_versions(database, REGION)) == set(seed.region)
    assert {version.created_by for version in (await newest_versions(database, PLAN)).values()} == {AUTHOR}


async def test_a_shop_that_administrators_began_gets_no_examples(shop: Database) -> None:
    assert await seed_shop(shop) == []
    assert await newest_versions(shop, PACK) == {}


@pytest.mark.parametrize(("currency", "price"), [("JPY", "1500"), ("KWD", "3.100"), ("USD", "9.99"), ("CLP", "9500")])
async def test_prices_are_shown_with_the_places_of_their_currency(
    database: Database, currency: str, price: str
) -> None:
    await seed_shop(database)

    offer = await current_offer(database, PACK, "starter", currency=currency)

    assert offer.price.money.text == price
