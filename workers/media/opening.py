"""The store and the settings of media that a process works with."""

from collections.abc import Mapping
from typing import NamedTuple

from workers.media.local import LocalStore
from workers.media.settings import MediaSettings
from workers.media.signing import url_signer
from workers.media.store import MediaStore
from workers.media.unset import UnsetStore


class Media(NamedTuple):
    """Where media are kept, and how."""

    settings: MediaSettings
    store: MediaStore


def open_media(environment: Mapping[str, str]) -> Media:
    """Choose the store: a bucket where one is named, else a folder where there is one, else none that works.

    Whoever opens it closes `store`. Nothing is connected to before the first use.

    Raises:
        SettingsError: what the environment says makes no sense.
    """
    settings = MediaSettings.from_environment(environment)
    if settings.bucket:
        # Here, so that processes without a bucket do not wait for boto3 to load.
        from workers.media.bucket import BucketStore  # noqa: PLC0415

        return Media(settings, BucketStore(settings))
    if settings.folder is None:
        return Media(settings, UnsetStore())
    is_reachable = settings.public_url.startswith("https://")
    return Media(settings, LocalStore(settings.folder, url_signer(settings), is_reachable=is_reachable))
