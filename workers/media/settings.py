"""What an installation says of media in its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from workers.media.types import KINDS, Limits
from workers.settings import SettingsError

FOLDER: Final = "media"
DEFAULT_GRACE_S: Final = 60.0
DEFAULT_FREE_DAYS: Final = 30
MAX_DAYS: Final = 36_500
MAX_GRACE_S: Final = 600.0
MAX_LIMIT_BYTES: Final = 5 * 1024**3
"""What S3 takes in one request, as a presigned upload is."""

DEFAULT_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "replicate": ("replicate.delivery", "*.replicate.delivery"),
    "fal": ("fal.media", "*.fal.media"),
    "openai": ("oaidalleapiprodscus.blob.core.windows.net",),
}
"""Where each provider keeps its results. `*.` stands for one or more labels."""


class HostAndPort(msgspec.Struct, frozen=True):
    """A host that the administrator lets us fetch from whatever its address, also without TLS."""

    host: str
    port: int | None
    """Any, where it is not given."""


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where media are, how long, and from where results may be fetched."""

    bucket: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    prefix: str = ""
    folder: Path | None = None
    """Where the bytes are, without a bucket."""
    key_file: Path | None = None
    key: str = ""
    """Signs the URLs of a folder; made and kept in `key_file` where it is not given."""
    public_url: str = ""
    """Of our API, as others reach it; without it, URLs of local files are paths."""
    hosts: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=lambda: DEFAULT_HOSTS)
    allowed_hosts: tuple[HostAndPort, ...] = ()
    transfer_grace_s: float = DEFAULT_GRACE_S
    free_days: int = DEFAULT_FREE_DAYS
    limits: Limits = Limits()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read `HOLDFAST_MEDIA_...` and what belongs to it.

        Raises:
            SettingsError: a value makes no sense.
        """
        directory = _text(environment, "HOLDFAST_DATA_DIR")
        folder = _text(environment, "HOLDFAST_MEDIA_DIR") or (directory and str(Path(directory) / FOLDER))
        return cls(
            bucket=_text(environment, "HOLDFAST_MEDIA_BUCKET"),
            endpoint_url=_text(environment, "HOLDFAST_MEDIA_ENDPOINT") or None,
            region=_text(environment, "HOLDFAST_MEDIA_REGION") or None,
            prefix=_text(environment, "HOLDFAST_MEDIA_PREFIX"),
            folder=Path(folder) if folder else None,
            key_file=Path(directory or folder) / "media.key" if folder else None,
            key=_text(environment, "HOLDFAST_MEDIA_KEY"),
            public_url=_text(environment, "HOLDFAST_PUBLIC_URL").rstrip("/"),
            hosts={**DEFAULT_HOSTS, **_hosts(_text(environment, "HOLDFAST_MEDIA_HOSTS"))},
            allowed_hosts=_allowed(_text(environment, "HOLDFAST_MEDIA_ALLOW_HOSTS")),
            transfer_grace_s=_seconds(environment, "HOLDFAST_TRANSFER_GRACE_S", DEFAULT_GRACE_S),
            free_days=_whole(environment, "HOLDFAST_MEDIA_FREE_DAYS", DEFAULT_FREE_DAYS, MAX_DAYS),
            limits=_limits(environment),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()


def _hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Read `replicate=replicate.delivery,*.replicate.delivery fal=*.fal.media`."""
    hosts: dict[str, tuple[str, ...]] = {}
    for entry in text.split():
        provider, equals, names = entry.partition("=")
        if not provider or not equals:
            raise SettingsError("HOLDFAST_MEDIA_HOSTS must be like `replicate=replicate.delivery,*.replicate.delivery`")
        hosts[provider] = tuple(name.strip().lower() for name in names.split(",") if name.strip())
    return hosts


def _allowed(text: str) -> tuple[HostAndPort, ...]:
    """Read `127.0.0.1:9000,[::1]:9000,minio.internal`."""
    return tuple(_host_and_port(entry.strip()) for entry in text.split(",") if entry.strip())


def _host_and_port(entry: str) -> HostAndPort:
    try:
        parts = urlsplit(f"//{entry}")
        if parts.hostname and parts.netloc == entry and parts.username is None:
            return HostAndPort(parts.hostname, parts.port)
    except ValueError:
        pass  # a port that is none, or half of an IPv6 address
    raise SettingsError("HOLDFAST_MEDIA_ALLOW_HOSTS must be hosts, or hosts with ports, between commas")


def _limits(environment: Mapping[str, str]) -> Limits:
    usual = Limits()
    return Limits(
        **{
            kind: _whole(environment, f"HOLDFAST_MEDIA_MAX_{kind.upper()}_BYTES", usual.of(kind), MAX_LIMIT_BYTES)
            for kind in KINDS
        }
    )


def _whole(environment: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = _text(environment, name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= largest:
        raise SettingsError(f"{name} must be a number from 1 to {largest}")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        seconds = float(_text(environment, name) or default)
    except ValueError:
        raise SettingsError(f"{name} must be a number of seconds") from None
    if not 0 <= seconds <= MAX_GRACE_S:
        raise SettingsError(f"{name} must be from 0 to {MAX_GRACE_S:.0f}")
    return seconds
