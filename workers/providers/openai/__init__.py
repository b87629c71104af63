"""OpenAI: GPT models through its Chat Completions API or its Responses API."""

from collections.abc import Mapping

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make_chat(configuration: Configuration) -> Provider:
    # Imported on first use: the SDK takes up to a second to import, and an installation without its key never needs it.
    from workers.providers.openai.chat import OpenAIChat  # noqa: PLC0415

    return OpenAIChat(api_key=configuration.api_key, base_url=configuration.base_url)


def _make_responses(configuration: Configuration) -> Provider:
    from workers.providers.openai.responses import OpenAIResponses  # noqa: PLC0415

    return OpenAIResponses(api_key=configuration.api_key, base_url=configuration.base_url)


def factories(environment: Mapping[str, str]) -> tuple[ProviderFactory, ...]:
    """Offer both APIs. They are two providers, so that a model can use the one and fall back to the other."""
    del environment
    makers = {"openai": _make_chat, "openai-responses": _make_responses}
    return tuple(
        ProviderFactory(
            name=name,
            make=make,
            key_variable="OPENAI_API_KEY",
            base_url_variable="OPENAI_BASE_URL",
            default_base_url="https://api.openai.com/v1",
        )
        for name, make in makers.items()
    )
