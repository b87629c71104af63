"""Talking to a provider that works in the background: short JSON requests to one host, and what their failure means.

What matters of a failed request is whether the provider may have carried it out. A connection that was never made
says no; one that broke later says nothing.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from workers.providers.errors import MalformedResponse, Unavailable
from workers.providers.headers import retry_after_s

ANSWER_S: Final = 30.0
"""How long one request may take. None of them waits for the work itself."""

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""A result may be inside an answer, as a `data:` URL."""

MAX_CONNECTIONS: Final = 256

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Reply(Struct, frozen=True, kw_only=True):
    """One answer, read whole."""

    provider: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """The status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> float | None:
        """How long the provider asks us to wait."""
        return retry_after_s(self.headers, now=datetime.now(UTC))

    def json(self) -> dict[str, Any]:
        """Return the JSON object it holds.

        Raises:
            MalformedResponse: it holds something else.
        """
        found = self.json_or_none()
        if found is None:
            words = f"status {self.status} without a JSON object: {self.body[:200]!r}"
            raise MalformedResponse(provider=self.provider, provider_message=words, status=self.status)
        return found

    def json_or_none(self) -> dict[str, Any] | None:
        """Return the JSON object it holds, or `None`."""
        try:
            found: object = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return cast("dict[str, Any]", found) if isinstance(found, dict) else None


class JobHttp:
    """A connection pool to one provider.

    It follows no redirects and goes to no other host, because the key goes with every call.
    """

    def __init__(self, *, provider: str, base_url: str, authorization: str) -> None:
        self._provider = provider
        self._base_url = base_url.rstrip("/")
        self._origin = _origin(self._base_url)
        self._client = httpx.AsyncClient(
            headers={"Authorization": authorization, "Accept": "application/json"},
            follow_redirects=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        )

    def url(self, path: str) -> str:
        """Return the URL of a path under the base URL."""
        return f"{self._base_url}/{path.lstrip('/')}"

    def own(self, url: object) -> str:
        """Return a URL that the provider gave us, if it leads to the provider.

        Raises:
            MalformedResponse: it leads elsewhere.
        """
        if not isinstance(url, str) or not url.isprintable() or _origin(url) != self._origin:
            raise MalformedResponse(provider=self._provider, provider_message=f"a URL on another host: {url!r:.200}")
        return url

    async def send(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        connect_s: float = 5.0,
    ) -> Reply:
        """Send one request and return the answer, whatever its status.

        Raises:
            Unavailable: there was no whole answer; `ambiguous` if the request may have arrived.
        """
        content = None if json is None else msgspec.json.encode(json)
        sent = {**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})}
        timeout = httpx.Timeout(ANSWER_S, connect=connect_s, pool=connect_s)
        try:
            async with (
                asyncio.timeout(ANSWER_S + connect_s),
                self._client.stream(
                    method, url, content=content, params=params, headers=sent, timeout=timeout
                ) as response,
            ):
                body = await self._read(response)
        except _NEVER_SENT as error:
            raise self._unavailable(error, ambiguous=False) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # A time-out of asyncio is an `OSError` too.
            raise self._unavailable(error, ambiguous=True) from error
        return Reply(provider=self._provider, status=response.status_code, headers=response.headers, body=body)

    async def aclose(self) -> None:
        """Close the pool. A second call does nothing."""
        await self._client.aclose()

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise Unavailable(
                    provider=self._provider, provider_message="an answer has no end", status=response.status_code,
                    ambiguous=True,
                )  # fmt: skip
        return bytes(body)

    def _unavailable(self, error: Exception, *, ambiguous: bool) -> Unavailable:
        words = f"{type(error).__name__}: {error}"
        return Unavailable(provider=self._provider, provider_message=words, ambiguous=ambiguous)


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            return None
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
