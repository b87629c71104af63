"""How a provider says what it needs: one `ProviderFactory` per provider, in the file of the provider itself.

A module or package directly in `workers/providers` offers its provider by one of two names:

    FACTORY = ProviderFactory(name="example", make=_make, key_variable="EXAMPLE_API_KEY", ...)

    def factories(environment: Mapping[str, str]) -> Iterable[ProviderFactory]: ...   # several, or by configuration

All of them are imported at the start of every process, so such a module must be cheap to import: an SDK is imported by
`make`, in a package also by the modules inside it.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from workers.providers.interface import Provider


class Configuration(Struct, frozen=True, kw_only=True):
    """What the environment says about one provider."""

    api_key: str
    """Empty where the provider needs none."""
    base_url: str
    """The one that was set, else the default one."""
    environment: Mapping[str, str]
    """For settings that only this provider has."""

    def __repr__(self) -> str:
        """Without the key and the environment, which end up in logs otherwise."""
        return f"Configuration(base_url={self.base_url!r})"

    def setting(self, variable: str) -> str:
        """See `setting`."""
        return setting(self.environment, variable)


class ProviderFactory(Struct, frozen=True, kw_only=True):
    """One provider before it is made: what it is called, what it needs and how to make it."""

    name: str
    make: Callable[[Configuration], Provider]
    """Called once per process, and only if there is no `problem`."""
    key_variable: str = ""
    """Where its API key is; empty if it has none."""
    key_required: bool = True
    """Whether it is of no use without the key. Means nothing without `key_variable`."""
    base_url_variable: str = ""
    """Where its base URL may be set; empty if it has none."""
    default_base_url: str = ""
    """Empty if there is none; then the variable must be set."""
    misconfigured: str = ""
    """What else is wrong with its configuration, in a sentence without a full stop."""

    def problem(self, environment: Mapping[str, str]) -> str | None:
        """Say what is wrong with its configuration, or `None` if it can be made. Never contains a key."""
        if self.misconfigured:
            return self.misconfigured
        if self.key_variable and self.key_required and not setting(environment, self.key_variable):
            return f"{self.key_variable} is not set"
        if not self.base_url_variable:
            return None
        base_url = setting(environment, self.base_url_variable) or self.default_base_url
        if not base_url:
            return f"{self.base_url_variable} is not set"
        return None if _is_http_url(base_url) else f"{self.base_url_variable} is not an http:// or https:// URL"

    def configuration(self, environment: Mapping[str, str]) -> Configuration:
        """Read what it needs."""
        set_url = setting(environment, self.base_url_variable) if self.base_url_variable else ""
        return Configuration(
            api_key=setting(environment, self.key_variable) if self.key_variable else "",
            base_url=set_url or self.default_base_url,
            environment=environment,
        )


def setting(environment: Mapping[str, str], variable: str) -> str:
    """Read a variable without the whitespace that files and shells leave around it; an empty one is not set."""
    return environment.get(variable, "").strip()


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
