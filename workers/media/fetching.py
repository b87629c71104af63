"""Fetching what a provider says is its result, without ever being led elsewhere.

A provider's URL is hostile until it was looked at: https, on a host that this provider is known to use, on the usual
port. We resolve the host ourselves, refuse it if any of its addresses is not public, and connect to the very address
that was checked: the URL that goes to the HTTP client has the address in it, so nothing resolves the name again. Each
redirect is looked at in the same way.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv6Address
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx
import msgspec

from workers.media.addresses import Address, Resolver, is_public, parse_address, resolve
from workers.media.failures import MediaLost, MediaRefused, MediaUnavailable
from workers.media.settings import HostAndPort, MediaSettings

MAX_REDIRECTS: Final = 3
MAX_ADDRESSES: Final = 3
MAX_URL_CHARACTERS: Final = 8_192
CONNECT_TIMEOUT_S: Final = 5.0
CHUNK_BYTES: Final = 64 * 1024

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({401, 403, 404, 410})
"""Stores answer 403 to a signed URL whose time is over."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class FetchTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long fetching may take, in seconds."""

    gap_s: float = 30.0
    """Between two pieces, and for the answer to begin."""
    total_s: float = 600.0


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a provider that has begun to arrive."""

    pieces: AsyncIterator[bytes]
    """Raises as `Fetcher.fetching` does."""


class _Target(msgspec.Struct, frozen=True):
    """A URL that was looked at, and where to connect for it."""

    url: SplitResult
    addresses: tuple[Address, ...]


class Fetcher:
    """Fetches results; one per process. An async context manager."""

    def __init__(
        self,
        settings: MediaSettings,
        *,
        resolver: Resolver = resolve,
        timeouts: FetchTimeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._resolve = resolver
        self._timeouts = timeouts or FetchTimeouts()
        # A connection is known to the client by its address only. Used again, it would serve another host than the one
        # whose certificate was checked.
        unshared = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._client = httpx.AsyncClient(
            transport=transport or unshared,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(self._timeouts.gap_s, connect=CONNECT_TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @contextlib.asynccontextmanager
    async def fetching(self, url: str, *, provider: str, limit_bytes: int) -> AsyncGenerator[Source]:
        """Fetch a file of at most so many bytes, in pieces of at most `CHUNK_BYTES`.

        Raises:
            MediaRefused: the URL, an address or a redirect is not one we follow, or the file is too large.
            MediaLost: the provider does not have it any more.
            MediaUnavailable: the connection failed, or took too long; it may be tried again.
        """
        try:
            async with asyncio.timeout(self._timeouts.total_s), contextlib.AsyncExitStack() as stack:
                response = await self._open(url, provider, stack)
                _check_head(response, provider, limit_bytes)
                yield Source(pieces=self._pieces(response, provider, limit_bytes))
        except TimeoutError as error:
            raise MediaUnavailable(provider=provider, provider_message="the result took too long to arrive") from error

    async def _open(self, url: str, provider: str, stack: contextlib.AsyncExitStack) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            target = await self._look_at(url, provider)
            response = await self._connect(target, provider)
            stack.push_async_callback(response.aclose)
            if response.status_code not in _REDIRECTS:
                return response
            url = urljoin(url, response.headers.get("location", ""))
            await response.aclose()
        raise MediaRefused(provider=provider, provider_message=f"more than {MAX_REDIRECTS} redirects")

    async def _look_at(self, url: str, provider: str) -> _Target:
        parts = _parse(url, provider)
        host, port = parts.hostname or "", _port(parts)
        if self._is_let_in(host, port):
            return _Target(parts, (await self._addresses(host, port, provider))[:MAX_ADDRESSES])
        if parts.scheme != "https" or port != _DEFAULT_PORTS["https"]:
            raise MediaRefused(provider=provider, provider_message="a result must be at https, on its usual port")
        if not any(_fits(host, pattern) for pattern in self._settings.hosts.get(provider, ())):
            raise MediaRefused(provider=provider, provider_message=f"results are not fetched from {host}")
        addresses = await self._addresses(host, port, provider)
        if not all(map(is_public, addresses)):
            raise MediaRefused(provider=provider, provider_message=f"{host} has an address that is not public")
        return _Target(parts, addresses[:MAX_ADDRESSES])

    def _is_let_in(self, host: str, port: int) -> bool:
        return any(
            entry in self._settings.allowed_hosts for entry in (HostAndPort(host, port), HostAndPort(host, None))
        )

    async def _addresses(self, host: str, port: int, provider: str) -> tuple[Address, ...]:
        literal = parse_address(host)
        if literal is not None:
            return (literal,)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                found = tuple(await self._resolve(host, port))
        except (OSError, UnicodeError, TimeoutError) as error:
            raise MediaUnavailable(provider=provider, provider_message=f"{host} cannot be resolved") from error
        if not found:
            raise MediaUnavailable(provider=provider, provider_message=f"{host} has no address")
        return found

    async def _connect(self, target: _Target, provider: str) -> httpx.Response:
        """Ask the first address that can be connected to."""
        for place, address in enumerate(target.addresses, start=1):
            try:
                return await self._client.send(self._request(target.url, address), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if place == len(target.addresses):
                    raise MediaUnavailable(provider=provider, provider_message=repr(error)) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise MediaUnavailable(provider=provider, provider_message=repr(error)) from error
        raise AssertionError("a target has an address")

    def _request(self, url: SplitResult, address: Address) -> httpx.Request:
        numeric = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        pinned = url._replace(netloc=f"{numeric}:{_port(url)}", fragment="").geturl()
        return self._client.build_request(
            "GET",
            pinned,
            headers={"Host": url.netloc, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "holdfast"},
            # What the certificate is checked against.
            extensions={"sni_hostname": url.hostname or ""},
        )

    async def _pieces(self, response: httpx.Response, provider: str, limit_bytes: int) -> AsyncGenerator[bytes]:
        size_bytes = 0
        try:
            async for piece in response.aiter_raw(CHUNK_BYTES):
                size_bytes += len(piece)
                if size_bytes > limit_bytes:
                    raise _too_large(provider, limit_bytes)
                yield piece
        except httpx.HTTPError as error:
            raise MediaUnavailable(provider=provider, provider_message=repr(error)) from error


def _parse(url: str, provider: str) -> SplitResult:
    """Take a URL apart, and take nothing that two parsers could understand in two ways."""
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(" \\")
    try:
        parts = urlsplit(url)
        is_whole = len(url) <= MAX_URL_CHARACTERS and parts.scheme in _DEFAULT_PORTS and bool(parts.hostname)
        if is_plain and is_whole and "@" not in parts.netloc and _port(parts):
            return parts
    except ValueError:
        pass  # a port that is none, or half of an IPv6 address
    raise MediaRefused(provider=provider, provider_message="the URL of the result is not one that can be fetched")


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _check_head(response: httpx.Response, provider: str, limit_bytes: int) -> None:
    status = response.status_code
    if status in _GONE:
        raise MediaLost(provider=provider, status=status, provider_message=f"the result answers {status}")
    if status >= 500 or status in {408, 425, 429}:
        raise MediaUnavailable(provider=provider, status=status, provider_message=f"the result answers {status}")
    if status != 200:
        raise MediaRefused(provider=provider, status=status, provider_message=f"the result answers {status}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise MediaRefused(
            provider=provider, provider_message="the result is compressed, although we asked for it plain"
        )
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit_bytes:
        raise _too_large(provider, limit_bytes)


def _too_large(provider: str, limit_bytes: int) -> MediaRefused:
    return MediaRefused(provider=provider, provider_message=f"the result has more than {limit_bytes} bytes")
