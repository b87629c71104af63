"""Which region a currency and a country mean."""

import pytest

from workers.payments.catalogue import Region, region_meant
from workers.payments.errors import CurrencyNotOffered

REGIONS = (
    Region(name="us", currency="USD", tax_inclusive=False, countries=("PR", "US")),
    Region(name="world", currency="USD", tax_inclusive=True),
    Region(name="eu", currency="EUR", tax_inclusive=True, countries=("DE", "FR")),
    Region(name="eu-north", currency="EUR", tax_inclusive=True, countries=("EE", "FI")),
    Region(name="ch", currency="CHF", tax_inclusive=True, countries=("CH",)),
    Region(name="ch-euro", currency="EUR", tax_inclusive=True, countries=("CH",)),
)


@pytest.mark.parametrize(
    ("currency", "country", "region"),
    [
        ("USD", "US", "us"),
        ("USD", "DE", "world"),
        ("USD", None, "world"),
        ("EUR", "FI", "eu-north"),
        ("EUR", "CH", "ch-euro"),
        ("EUR", None, "ch-euro"),
        ("CHF", None, "ch"),
        (None, "FR", "eu"),
        (None, "CH", "ch"),
        (None, "JP", "world"),
        (None, None, "world"),
    ],
)
def test_the_region_of_the_country_comes_first_and_then_the_one_of_all_others(
    currency: str | None, country: str | None, region: str
) -> None:
    assert region_meant(REGIONS, currency=currency, country=country).name == region
    assert region_meant(reversed(REGIONS), currency=currency, country=country).name == region


@pytest.mark.parametrize(("currency", "country"), [("JPY", None), ("EUR", "US"), ("CHF", "DE"), ("GBP", "GB")])
def test_a_currency_that_is_not_for_the_country_is_refused(currency: str, country: str | None) -> None:
    with pytest.raises(CurrencyNotOffered) as refused:
        region_meant(REGIONS, currency=currency, country=country)

    assert refused.value.currency == currency


def test_without_regions_nothing_is_for_sale() -> None:
    with pytest.raises(CurrencyNotOffered, match="not sold in any currency to DE"):
        region_meant((), currency=None, country="DE")
