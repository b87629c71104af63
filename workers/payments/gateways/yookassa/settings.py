"""What the environment says about our shop at YooKassa."""

from collections.abc import Mapping
from typing import Final, Self

from msgspec import Struct

from workers.payments.gateways.registry import base_url
from workers.payments.gateways.yookassa.senders import DEFAULT_NETWORKS, Network, parse_networks
from workers.settings import SettingsError

BASE_URL: Final = "https://api.yookassa.ru/v3"
VAT_CODES: Final = range(1, 13)
"""Rates of value added tax, by the numbers that receipts have for them."""


class YooKassaSettings(Struct, frozen=True, kw_only=True):
    """A shop and its key. The key is not in what is printed of it."""

    shop_id: str
    secret_key: str
    base_url: str = BASE_URL
    networks: tuple[Network, ...] = DEFAULT_NETWORKS
    """From where webhooks may come."""
    vat_code: int | None = None
    """The tax on what we sell; with it every payment goes with the data of a receipt."""

    def __repr__(self) -> str:
        return f"YooKassaSettings(shop_id={self.shop_id!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read them.

        Raises:
            SettingsError: one is missing or makes no sense.
        """
        networks = environment.get("YOOKASSA_TRUSTED_NETWORKS", "").strip()
        return cls(
            shop_id=_required(environment, "YOOKASSA_SHOP_ID"),
            secret_key=_required(environment, "YOOKASSA_SECRET_KEY"),
            base_url=base_url(environment, "YOOKASSA_BASE_URL", BASE_URL),
            networks=parse_networks("YOOKASSA_TRUSTED_NETWORKS", networks) if networks else DEFAULT_NETWORKS,
            vat_code=_vat_code(environment),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise SettingsError(f"{name} is missing, or is not what YooKassa gave out")
    return value


def _vat_code(environment: Mapping[str, str]) -> int | None:
    value = environment.get("YOOKASSA_RECEIPT_VAT_CODE", "").strip()
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or int(value[:4]) not in VAT_CODES:
        raise SettingsError(f"YOOKASSA_RECEIPT_VAT_CODE must be from {VAT_CODES[0]} to {VAT_CODES[-1]}")
    return int(value)
