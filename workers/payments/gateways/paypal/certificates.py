"""The certificates that PayPal signs webhooks with: where they may come from, what they must be, and keeping them.

A webhook names the URL of its certificate itself, so whoever sends one chooses what we fetch. Therefore the whole URL
is pinned, nothing is followed, little is read, and forgers cannot make us fetch often. That the certificate is PayPal's
follows from the TLS connection to the pinned host; beyond it, its subject, its time and its chain are checked.
"""

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import Final

import httpx
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from workers.payments.gateway import GatewayError, WebhookForged
from workers.payments.gateways.paypal.wire import NAME
from workers.settings import SettingsError

FETCH_S: Final = 5.0
MAX_BYTES: Final = 65_536
MAX_CHAIN: Final = 8
MIN_KEY_BITS: Final = 2_048

KEPT_S: Final = 86_400.0
"""A certificate that PayPal takes back is not served any more, so it is fetched again every day."""

MAX_KEPT: Final = 16
MAX_FETCHES: Final = 10
FETCHES_WITHIN_S: Final = 60.0
"""Certificates that are not known make us fetch this often at the most. Those that were known, and have to be fetched
again, are counted by themselves: no forger can use that up by making others up."""

_DOMAIN: Final = "paypal.com"
_URL: Final = re.compile(
    r"(https?)://([a-z0-9.\-]+(?::\d{1,5})?)/v1/notifications/certs/[A-Za-z0-9_\-]{1,128}", re.ASCII
)
_HOST: Final = re.compile(r"[a-z0-9.\-]+(:\d{1,5})?", re.ASCII)

_log = structlog.stdlib.get_logger(__name__)


class CertificateHosts:
    """The hosts that certificates may come from.

    Only over https; but over http, and only over http, from an entry that is a loopback address with a port, which is a
    test's: whoever can answer there can read our memory as well.

    Raises:
        SettingsError: an entry is no host.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._scheme_of_host = {entry.lower(): "http" if _is_loopback(entry) else "https" for entry in entries}
        for host in self._scheme_of_host:
            if _HOST.fullmatch(host) is None:
                raise SettingsError("PAYPAL_CERT_HOSTS must be host names, such as api.paypal.com")

    def allow(self, url: str) -> bool:
        """Whether a URL is one of a certificate on one of these hosts."""
        match = _URL.fullmatch(url)
        return match is not None and self._scheme_of_host.get(match.group(2)) == match.group(1)


class Certificates:
    """Fetches certificates and keeps them. Belongs to one event loop."""

    def __init__(self, hosts: CertificateHosts) -> None:
        self._hosts = hosts
        self._kept: OrderedDict[str, tuple[float, x509.Certificate]] = OrderedDict()
        self._fetches: deque[float] = deque()
        self._fetches_again: deque[float] = deque()
        self._fetching = asyncio.Lock()

    async def public_key(self, url: str, *, now_s: float) -> RSAPublicKey:
        """Return the key of the certificate at a URL, if it is valid now.

        Raises:
            WebhookForged: the URL is not PayPal's, or what is there is no certificate of PayPal's.
            GatewayError: it cannot be fetched just now. PayPal sends again, for three days.
        """
        if not self._hosts.allow(url):
            raise WebhookForged("the certificate is not on a host of PayPal's")
        certificate = self._known(url) or await self._fetched(url, now_s=now_s)
        return checked_key(certificate, now_s=now_s)

    def _known(self, url: str) -> x509.Certificate | None:
        fetched_at_s, certificate = self._kept.get(url, (float("-inf"), None))
        return certificate if time.monotonic() - fetched_at_s < KEPT_S else None

    async def _fetched(self, url: str, *, now_s: float) -> x509.Certificate:
        async with self._fetching:
            # Somebody else may have fetched it while this one waited.
            if (known := self._known(url)) is not None:
                return known
            self._count_a_fetch(self._fetches_again if url in self._kept else self._fetches)
            try:
                pem = await _fetch(url)
            except (httpx.HTTPError, OSError, ValueError) as error:
                _log.warning("paypal_certificate_not_fetched", url=url, error=type(error).__name__)
                raise _not_now("the certificate of a webhook cannot be fetched") from error
            certificate = leaf_of(pem)
            checked_key(certificate, now_s=now_s)
            self._kept[url] = time.monotonic(), certificate
            self._kept.move_to_end(url)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return certificate

    @staticmethod
    def _count_a_fetch(fetches: deque[float]) -> None:
        now_s = time.monotonic()
        while fetches and now_s - fetches[0] > FETCHES_WITHIN_S:
            fetches.popleft()
        if len(fetches) >= MAX_FETCHES:
            raise _not_now("too many certificates of webhooks that are not known")
        fetches.append(now_s)


def leaf_of(pem: bytes) -> x509.Certificate:
    """Return the first certificate. Where others follow, each must have issued the one before it.

    Raises:
        WebhookForged: there is none, or the others did not.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
        if len(chain) > MAX_CHAIN:
            raise WebhookForged("the chain of the certificate is too long")
        for issued, issuer in pairwise(chain):
            issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise WebhookForged("what is at the URL is no certificate, or not issued by those after it") from error
    return chain[0]


def checked_key(certificate: x509.Certificate, *, now_s: float) -> RSAPublicKey:
    """Return the key of a certificate of PayPal's.

    Raises:
        WebhookForged: it is not PayPal's, is not valid now, or its key is weak or of another kind.
    """
    if not any(_is_of_paypal(name) for name in _common_names(certificate)):
        raise WebhookForged("the certificate is not one of PayPal's")
    now = datetime.fromtimestamp(now_s, UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise WebhookForged("the certificate is not valid now")
    try:
        key = certificate.public_key()
    except ValueError as error:
        raise WebhookForged("the certificate has no key that can be read") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise WebhookForged("the certificate has no RSA key of 2048 bits")
    return key


def _not_now(message: str) -> GatewayError:
    return GatewayError(NAME, message, retryable=True)


def _common_names(certificate: x509.Certificate) -> list[str]:
    try:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise WebhookForged("the certificate has no subject that can be read") from error
    return [attribute.value for attribute in attributes if isinstance(attribute.value, str)]


def _is_of_paypal(name: str) -> bool:
    return name.lower() == _DOMAIN or name.lower().endswith(f".{_DOMAIN}")


def _is_loopback(entry: str) -> bool:
    host, _, port = entry.partition(":")
    try:
        return bool(port) and ip_address(host).is_loopback
    except ValueError:
        return False


async def _fetch(url: str) -> bytes:
    body = bytearray()
    async with (
        asyncio.timeout(FETCH_S),
        httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False) as client,
        client.stream("GET", url, headers={"Accept": "application/x-pem-file, */*"}) as reply,
    ):
        if reply.status_code != 200:
            raise ValueError(f"status {reply.status_code}")
        async for piece in reply.aiter_bytes():
            body += piece
            if len(body) > MAX_BYTES:
                raise ValueError("the certificate is too large")
    return bytes(body)
