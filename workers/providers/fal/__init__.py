"""fal: pictures, films, music and speech of many models, as requests in a queue."""

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make(configuration: Configuration) -> Provider:
    from workers.providers.fal.queue import Fal  # noqa: PLC0415 - only where it has a key

    return Fal(api_key=configuration.api_key, base_url=configuration.base_url)


FACTORY = ProviderFactory(
    name="fal",
    make=_make,
    key_variable="FAL_KEY",
    base_url_variable="FAL_BASE_URL",
    default_base_url="https://queue.fal.run",
)
