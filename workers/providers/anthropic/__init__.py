"""Anthropic: Claude models through the Messages API."""

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make(configuration: Configuration) -> Provider:
    # Imported on first use: the SDK takes up to a second to import, and an installation without its key never needs it.
    from workers.providers.anthropic.messages import AnthropicMessages  # noqa: PLC0415

    return AnthropicMessages(api_key=configuration.api_key, base_url=configuration.base_url)


FACTORY = ProviderFactory(
    name="anthropic",
    make=_make,
    key_variable="ANTHROPIC_API_KEY",
    base_url_variable="ANTHROPIC_BASE_URL",
    default_base_url="https://api.anthropic.com",
)
