"""The built-in offline provider: every mode without a key, see `provider.py`."""

from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import Provider


def _make(_configuration: Configuration) -> Provider:
    # Imported on first use: the imaging library takes a while, and every process asks this file what it offers.
    from workers.providers.offline.provider import Offline  # noqa: PLC0415

    return Offline()


FACTORY = ProviderFactory(name="offline", make=_make)
