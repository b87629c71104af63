"""Which gateways this installation has: those whose keys are in the environment."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final

import msgspec

from workers.payments.errors import GatewayNotConfigured
from workers.payments.gateway import Gateway
from workers.settings import SettingsError

NAMES: Final = ("paddle", "paypal", "stripe", "yookassa")


class GatewayFactory(msgspec.Struct, frozen=True, kw_only=True):
    """How to make one gateway; `FACTORY` in its package. Cheap to import: `make` imports the SDK."""

    name: str
    required: tuple[str, ...]
    """The variables without which it is not configured."""
    make: Callable[[Mapping[str, str]], Gateway]
    """Takes the environment, and raises `SettingsError` for a value that makes no sense."""

    def missing(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables that are not set."""
        return tuple(name for name in self.required if not environment.get(name, "").strip())


class Gateways:
    """The gateways of one process, made when first asked for, or all at once, and kept. Belongs to one event loop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._made: dict[str, Gateway] = {}

    @property
    def configured(self) -> tuple[str, ...]:
        """The names of those that can be used, in alphabetical order."""
        return tuple(name for name in NAMES if not factory_named(name).missing(self._environment))

    def get(self, name: str) -> Gateway:
        """Return a gateway, the same one every time.

        Raises:
            GatewayNotConfigured: there is no such gateway, or it has no keys here.
            SettingsError: one of its settings makes no sense.
        """
        if name not in self._made:
            if name not in NAMES or factory_named(name).missing(self._environment):
                raise GatewayNotConfigured(name)
            self._made[name] = factory_named(name).make(self._environment)
        return self._made[name]

    def make_configured(self) -> None:
        """Make all that can be used. To import an SDK takes longer than other requests should wait for.

        Raises:
            SettingsError: a setting of one of them makes no sense.
        """
        for name in self.configured:
            self.get(name)

    def put(self, gateway: Gateway) -> None:
        """Use this one; for tests of what is above the gateways."""
        self._made[gateway.name] = gateway

    async def aclose(self) -> None:
        """Close those that were made."""
        for gateway in self._made.values():
            await gateway.aclose()


def base_url(environment: Mapping[str, str], name: str, default: str) -> str:
    """Return a base URL without a slash at its end.

    Raises:
        SettingsError: it is no URL.
    """
    url = environment.get(name, "").strip().rstrip("/") or default
    if not url.startswith(("https://", "http://")):
        raise SettingsError(f"{name} must be a URL")
    return url


def factory_named(name: str) -> GatewayFactory:
    """Return how to make one of `NAMES`, without making it."""
    factory = import_module(f"workers.payments.gateways.{name}").FACTORY
    assert isinstance(factory, GatewayFactory), "each gateway has a factory"
    return factory
