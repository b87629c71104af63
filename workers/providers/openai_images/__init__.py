"""OpenAI Images: pictures from words, or from pictures and words."""

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make(configuration: Configuration) -> Provider:
    # Imported on first use: the SDK takes up to a second to import, and an installation without its key never needs it.
    from workers.providers.openai_images.images import OpenAIImages  # noqa: PLC0415

    return OpenAIImages(api_key=configuration.api_key, base_url=configuration.base_url)


FACTORY = ProviderFactory(
    name="openai-images",
    make=_make,
    key_variable="OPENAI_API_KEY",
    base_url_variable="OPENAI_BASE_URL",
    default_base_url="https://api.openai.com/v1",
)
