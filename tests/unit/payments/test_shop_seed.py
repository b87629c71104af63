"""The file that a new installation's shop begins with."""

import msgspec
import pytest

from workers.messages.languages import LANGUAGES as LANGUAGES_OF_MESSAGES
from workers.payments.catalogue import LANGUAGES, PackDefinition, PlanDefinition, Region
from workers.payments.catalogue.iso import COUNTRIES, CURRENCIES
from workers.payments.catalogue.seed import checked_seed, read_seed
from workers.payments.errors import InvalidPack
from workers.payments.money import places

TEXT = """
[region.jp]
currency = "JPY"
tax_inclusive = true
[pack.starter]
titles = { en = "Starter" }
credits = "1000"
prices = { jp = "1500" }
[plan.plus]
titles = { en = "Plus" }
credits_per_period = "2000"
prices = { jp = "2200" }
"""


def products() -> list[PackDefinition | PlanDefinition]:
    seed = read_seed()
    regions: dict[str, Region] = {}
    for name, region in seed.region.items():
        regions[name] = region.definition(name, regions)
    packs = [pack.definition(name, regions) for name, pack in seed.pack.items()]
    return [*packs, *(plan.definition(name, regions) for name, plan in seed.plan.items())]


def test_three_packs_and_two_plans_are_sold_in_more_than_twenty_currencies() -> None:
    seed = read_seed()
    currencies = {region.currency for region in seed.region.values()}

    assert (len(seed.pack), len(seed.plan), len(seed.region)) == (3, 2, 24)
    assert len(currencies) >= 20
    assert {places(currency) for currency in currencies} == {0, 2, 3}
    assert {currency for currency in currencies if places(currency) == 0} == {"CLP", "JPY", "KRW"}
    assert {currency for currency in currencies if places(currency) == 3} == {"BHD", "KWD", "TND"}


@pytest.mark.parametrize("product", products(), ids=lambda product: product.name)
def test_every_product_has_a_title_in_every_language_and_a_price_in_every_region(
    product: PackDefinition | PlanDefinition,
) -> None:
    assert set(product.titles) == set(LANGUAGES)
    assert set(product.prices) == set(read_seed().region)


def test_titles_are_in_the_languages_that_people_are_written_to_in() -> None:
    assert set(LANGUAGES) == set(LANGUAGES_OF_MESSAGES)


def test_codes_are_of_their_form_and_each_is_there_once() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
    assert {"USD", "EUR", "JPY", "KWD", "RUB", "CNY"} <= CURRENCIES
    assert not {"XAU", "XTS", "BOV", "CLF"} & CURRENCIES


def test_a_file_that_makes_sense_is_taken() -> None:
    assert set(checked_seed(TEXT).pack) == {"starter"}


@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ('"1500"', '"1500.5"', InvalidPack, "prices.jp: 1500.5 is not an amount in JPY, which has 0 decimal places"),
        ('"1500"', "1500", msgspec.ValidationError, "Expected `str`, got `int`"),
        ('credits = "1000"', 'credit = "1000"', msgspec.ValidationError, "unknown field `credit`|required field"),
        ("[pack.starter]", "[pack.Starter]", msgspec.ValidationError, "key"),
        ("[plan.plus]", "[plans.plus]", msgspec.ValidationError, "plan"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_what_is_wrong(
    before: str, after: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        checked_seed(TEXT.replace(before, after))
