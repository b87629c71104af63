"""Signed URLs of local files: what a URL allows is part of what is signed, so that it allows nothing else."""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from workers.media.errors import UrlNotValid
from workers.media.settings import MediaSettings
from workers.media.store import SignedRequest
from workers.settings import SettingsError

VARIABLE: Final = "HOLDFAST_MEDIA_KEY"
MIN_KEY_CHARACTERS: Final = 32
PRIVATE_MODE: Final = 0o600
PATH: Final = "/media/"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a signed URL allows."""

    method: str
    key: str
    expires_at_s: int
    media_type: str
    size_bytes: int | None = None
    """Exactly how much is to be sent; only of an upload."""
    filename: str | None = None

    def query(self) -> dict[str, str]:
        """Return what a URL says of it, beside the method and the path."""
        size = {} if self.size_bytes is None else {"size": str(self.size_bytes)}
        name = {} if self.filename is None else {"filename": self.filename}
        return {"expires": str(self.expires_at_s), "type": self.media_type, **size, **name}


class UrlSigner:
    """Signs and checks with HMAC-SHA256, under a key that all processes of an installation share."""

    def __init__(self, secret: str, *, base_url: str) -> None:
        self._key = hashlib.sha256(b"holdfast: media URLs\0" + secret.encode()).digest()
        self._base_url = base_url

    def sign(self, grant: Grant, *, headers: dict[str, str]) -> SignedRequest:
        """Make the request that this grant allows."""
        query = urlencode({**grant.query(), "signature": self._signature(grant)})
        return SignedRequest(
            method=grant.method,
            url=f"{self._base_url}{PATH}{quote(grant.key)}?{query}",
            headers=headers,
            expires_at_us=grant.expires_at_s * 1_000_000,
        )

    def check(self, method: str, key: str, query: Mapping[str, str]) -> Grant:
        """Return what a URL allows.

        Raises:
            UrlNotValid: it was not signed by us for this, or its time is over.
        """
        grant = _read(method, key, query)
        if grant is None or not hmac.compare_digest(self._signature(grant), query.get("signature", "")):
            raise UrlNotValid
        if grant.expires_at_s < time.time():
            raise UrlNotValid
        return grant

    def _signature(self, grant: Grant) -> str:
        # As JSON, so that no value can pass for the end of one and the beginning of the next.
        return hmac.digest(self._key, msgspec.json.encode(grant), "sha256").hex()


def _read(method: str, key: str, query: Mapping[str, str]) -> Grant | None:
    expires, size = query.get("expires", ""), query.get("size")
    numbers = [expires] if size is None else [expires, size]
    if not all(number.isascii() and number.isdigit() and len(number) <= 15 for number in numbers):
        return None
    if not query.get("signature", "").isascii():
        return None
    return Grant(
        method=method,
        key=key,
        expires_at_s=int(expires),
        media_type=query.get("type", ""),
        size_bytes=None if size is None else int(size),
        filename=query.get("filename"),
    )


def url_signer(settings: MediaSettings) -> UrlSigner:
    """Return the signer of this installation; its key is made and kept in the data directory where none is given.

    Raises:
        SettingsError: the key is too short.
    """
    key = settings.key
    if not key:
        assert settings.key_file is not None, "a folder has its key beside it"
        key = _kept_in(settings.key_file)
    if len(key) < MIN_KEY_CHARACTERS:
        raise SettingsError(f"{VARIABLE} must have at least {MIN_KEY_CHARACTERS} characters")
    return UrlSigner(key, base_url=settings.public_url)


def _kept_in(path: Path) -> str:
    if not path.exists():
        _make(path)
    return path.read_text(encoding="ascii").strip()


def _make(path: Path) -> None:
    """Make a key. Of two processes that do so at once, one keeps its own and both read that."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE), "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(unfinished)
    unfinished.unlink()
