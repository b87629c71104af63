"""Replicate: pictures, films, music and speech of many models, as predictions that run in the background."""

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make(configuration: Configuration) -> Provider:
    from workers.providers.replicate.predictions import Replicate  # noqa: PLC0415 - only where it has a key

    return Replicate(api_token=configuration.api_key, base_url=configuration.base_url)


FACTORY = ProviderFactory(
    name="replicate",
    make=_make,
    key_variable="REPLICATE_API_TOKEN",
    base_url_variable="REPLICATE_BASE_URL",
    default_base_url="https://api.replicate.com/v1",
)
