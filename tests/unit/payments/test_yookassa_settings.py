"""What the environment may say about YooKassa."""

import subprocess
import sys

import pytest

from workers.payments.gateways.registry import GatewayNotConfigured, Gateways
from workers.payments.gateways.yookassa import FACTORY
from workers.payments.gateways.yookassa.senders import DEFAULT_NETWORKS
from workers.payments.gateways.yookassa.settings import BASE_URL, YooKassaSettings
from workers.settings import SettingsError

KEYS = {"YOOKASSA_SHOP_ID": "100500", "YOOKASSA_SECRET_KEY": "test_key"}


def test_a_shop_and_its_key_are_enough() -> None:
    settings = YooKassaSettings.from_environment(KEYS)

    assert (settings.base_url, settings.networks, settings.vat_code) == (BASE_URL, DEFAULT_NETWORKS, None)


def test_empty_settings_are_as_good_as_none() -> None:
    empty = dict.fromkeys(("YOOKASSA_BASE_URL", "YOOKASSA_TRUSTED_NETWORKS", "YOOKASSA_RECEIPT_VAT_CODE"), " ")

    assert YooKassaSettings.from_environment({**KEYS, **empty}) == YooKassaSettings.from_environment(KEYS)


@pytest.mark.parametrize("code", ["1", "4", "12"])
def test_a_rate_of_tax_is_one_of_those_that_there_are(code: str) -> None:
    assert YooKassaSettings.from_environment({**KEYS, "YOOKASSA_RECEIPT_VAT_CODE": code}).vat_code == int(code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("YOOKASSA_RECEIPT_VAT_CODE", value) for value in ("0", "13", "20%", "-1", "1.5", "٣", "9" * 5_000)),
        *(
            ("YOOKASSA_TRUSTED_NETWORKS", value)
            for value in (",", "0.0.0.0/0", "::/0", "77.75.153.1/25", "yookassa.ru", "77.75.153.0/33")
        ),
        ("YOOKASSA_BASE_URL", "api.yookassa.ru"),
        ("YOOKASSA_SHOP_ID", "100 500"),
        ("YOOKASSA_SECRET_KEY", "тест"),
        ("YOOKASSA_SECRET_KEY", "two\nlines"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        YooKassaSettings.from_environment({**KEYS, name: value})

    if "KEY" in name:
        assert value not in str(refused.value)


async def test_without_its_key_it_is_not_configured() -> None:
    gateways = Gateways({**KEYS, "YOOKASSA_SECRET_KEY": " "})

    assert "yookassa" not in gateways.configured
    with pytest.raises(GatewayNotConfigured):
        gateways.get("yookassa")


async def test_with_its_key_it_is_made_once() -> None:
    gateways = Gateways(KEYS)

    assert gateways.get("yookassa") is gateways.get("yookassa")
    await gateways.aclose()


def test_its_factory_is_cheap_to_import() -> None:
    script = (
        "import sys, workers.payments.gateways.yookassa;"
        "print([name for name in ('httpx', 'yookassa', 'requests') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
    assert FACTORY.missing({}) == ("YOOKASSA_SHOP_ID", "YOOKASSA_SECRET_KEY")
