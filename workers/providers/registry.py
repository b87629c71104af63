"""Which providers this installation has, from its environment."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from workers.providers.echo import Echo
from workers.providers.interface import Provider


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


class _Keyed(Struct, frozen=True):
    """A provider that needs a key and may have another base URL."""

    key_variable: str
    base_url_variable: str
    make: Callable[[str, str | None], Provider]

    def problem(self, environment: Mapping[str, str]) -> str | None:
        if not _setting(environment, self.key_variable):
            return f"{self.key_variable} is not set"
        base_url = _setting(environment, self.base_url_variable)
        if base_url and not _is_http_url(base_url):
            return f"{self.base_url_variable} is not an http:// or https:// URL"
        return None


def _make_anthropic(api_key: str, base_url: str | None) -> Provider:
    # Imported on first use: an SDK takes up to a second to import, and an installation without its key never needs it.
    from workers.providers.anthropic_messages import DEFAULT_BASE_URL, AnthropicMessages  # noqa: PLC0415

    return AnthropicMessages(api_key=api_key, base_url=base_url or DEFAULT_BASE_URL)


def _make_openai(api_key: str, base_url: str | None) -> Provider:
    from workers.providers.openai_chat import DEFAULT_BASE_URL, OpenAIChat  # noqa: PLC0415

    return OpenAIChat(api_key=api_key, base_url=base_url or DEFAULT_BASE_URL)


_KEYED = {
    "anthropic": _Keyed("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", _make_anthropic),
    "openai": _Keyed("OPENAI_API_KEY", "OPENAI_BASE_URL", _make_openai),
}

PROVIDER_NAMES = (Echo.name, *_KEYED)


class ProviderRegistry:
    """The providers of one process, made when first asked for and kept. Belongs to one event loop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._made: dict[str, Provider] = {}

    def status(self, name: str) -> ProviderStatus:
        """Say whether one provider can be used. Makes nothing, so it costs nothing."""
        if name == Echo.name:
            return ProviderStatus(name, None)
        keyed = _KEYED.get(name)
        return ProviderStatus(name, "there is no such provider" if keyed is None else keyed.problem(self._environment))

    def statuses(self) -> tuple[ProviderStatus, ...]:
        """Return all there are, in the order of `PROVIDER_NAMES`."""
        return tuple(self.status(name) for name in PROVIDER_NAMES)

    def get(self, name: str) -> Provider:
        """Return the provider of that name, the same one every time.

        Raises:
            ProviderNotConfigured: it does not exist, or its key or base URL is missing or wrong.
        """
        if name not in self._made:
            status = self.status(name)
            if status.problem is not None:
                raise ProviderNotConfigured(name, status.problem)
            self._made[name] = self._make(name)
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

    def _make(self, name: str) -> Provider:
        if name == Echo.name:
            return Echo()
        keyed = _KEYED[name]
        api_key = _setting(self._environment, keyed.key_variable)
        return keyed.make(api_key, _setting(self._environment, keyed.base_url_variable) or None)


def _setting(environment: Mapping[str, str], variable: str) -> str:
    """Read a variable without the whitespace that files and shells leave around it; an empty one is not set."""
    return environment.get(variable, "").strip()


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
