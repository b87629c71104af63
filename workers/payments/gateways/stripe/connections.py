"""How the SDK reaches Stripe: over httpx, with a limit of time for each attempt.

The SDK has such a client too, which sends bodies in a way that httpx has deprecated.
"""

import asyncio
from collections.abc import Awaitable, Mapping

import httpx
import stripe


class Connections(stripe.HTTPClient):
    """Connections that are kept open, for one event loop."""

    name = "httpx"

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType] - one of its parameters has no type
        self._client = httpx.AsyncClient(timeout=timeout_s)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | bytes | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Make one attempt. After what went wrong on the way another may follow: it is made under the same key."""
        try:
            response = await self._client.request(method, url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(type(error).__name__, should_retry=True) from error
        return response.content, response.status_code, response.headers

    def sleep_async(self, secs: float) -> Awaitable[None]:
        """Wait before the next attempt."""
        return asyncio.sleep(secs)

    async def close_async(self) -> None:
        """Close all connections."""
        await self._client.aclose()
