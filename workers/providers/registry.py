"""Which providers this installation has: found by their files, configured by the environment.

Nothing lists them. Every module and package directly in `workers/providers`, and in the directories that
`HOLDFAST_PROVIDER_PATH` names, is asked for its factories; see `factories.py`. So a new provider is one file.
"""

import os
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Final, cast

from msgspec import Struct

from workers import providers
from workers.providers.factories import ProviderFactory, setting
from workers.providers.interface import Provider

PROVIDER_PATH_VARIABLE: Final = "HOLDFAST_PROVIDER_PATH"
"""Directories with further provider files, separated as in `PATH`: a way to add one to an installed package."""


class ProviderNotConfigured(Exception):
    """A model names a provider that this installation has no key for, or that does not exist."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"provider {name}: {problem}")
        self.name = name
        self.problem = problem


class ProviderStatus(Struct, frozen=True):
    """Whether a provider can be used. A model of one that cannot is not offered."""

    name: str
    problem: str | None
    """What is wrong with its configuration, for an administrator; `None` if it can be used. Never contains a key."""

    @property
    def configured(self) -> bool:
        """Its models can be offered."""
        return self.problem is None


class ProviderRegistry:
    """The providers of one process, made when first asked for and kept. Belongs to one event loop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._factories = find_factories(environment)
        self._made: dict[str, Provider] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All there are, configured or not, in alphabetical order."""
        return tuple(sorted(self._factories))

    def status(self, name: str) -> ProviderStatus:
        """Say whether one provider can be used. Makes nothing, so it costs nothing."""
        factory = self._factories.get(name)
        return ProviderStatus(
            name, "there is no such provider" if factory is None else factory.problem(self._environment)
        )

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """Return all there are, in the order of `names`."""
        return tuple(map(self.status, self.names))

    def get(self, name: str) -> Provider:
        """Return the provider of that name, the same one every time.

        Raises:
            ProviderNotConfigured: it does not exist, or its key or base URL is missing or wrong.
        """
        if name not in self._made:
            status = self.status(name)
            if status.problem is not None:
                raise ProviderNotConfigured(name, status.problem)
            factory = self._factories[name]
            self._made[name] = factory.make(factory.configuration(self._environment))
        return self._made[name]

    def prepare(self) -> None:
        """Make every usable provider, at the start of a process: importing an SDK blocks for up to a second."""
        for status in self.statuses():
            if status.configured:
                self.get(status.name)

    async def aclose(self) -> None:
        """Close what was made. A second call does nothing."""
        while self._made:
            _, provider = self._made.popitem()
            await provider.aclose()


def find_factories(environment: Mapping[str, str]) -> dict[str, ProviderFactory]:
    """Ask every provider file for what it offers.

    Raises:
        ProviderNotConfigured: two of them offer a provider of the same name.
    """
    found: dict[str, ProviderFactory] = {}
    for module in _modules(environment):
        for factory in _factories_of(module, environment):
            if factory.name in found:
                raise ProviderNotConfigured(factory.name, f"there is another one, so {module.__name__} cannot offer it")
            found[factory.name] = factory
    return found


def _modules(environment: Mapping[str, str]) -> Iterator[ModuleType]:
    for directory in setting(environment, PROVIDER_PATH_VARIABLE).split(os.pathsep):
        if directory and directory not in providers.__path__:
            providers.__path__.append(directory)
    for name in sorted(module.name for module in pkgutil.iter_modules(providers.__path__)):
        yield import_module(f"{providers.__name__}.{name}")


def _factories_of(module: ModuleType, environment: Mapping[str, str]) -> Iterable[ProviderFactory]:
    if isinstance(factory := getattr(module, "FACTORY", None), ProviderFactory):
        yield factory
    if callable(factories := getattr(module, "factories", None)):
        yield from cast("Iterable[ProviderFactory]", factories(environment))
