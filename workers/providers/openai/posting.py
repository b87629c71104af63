"""Posting to a server that speaks as OpenAI does, past the request building of the SDK.

That takes 0.7 ms, as long as everything else between us and a server beside us. The connection pool, the headers, the
errors and the reading of the stream are the SDK's.
"""

from collections.abc import Mapping
from typing import cast

import httpx2
import msgspec
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, DefaultAsyncHttpxClient

from workers.providers.interface import Timeouts


class OpenAIHttp:
    """A connection pool to one server, the URL that is posted to, and an SDK's client for the rest."""

    def __init__(self, path: str, *, api_key: str, base_url: str) -> None:
        self._http = DefaultAsyncHttpxClient()
        self.sdk = AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, http_client=self._http)
        self._url = self.sdk.base_url.join(path)
        self._headers = {
            name: value
            for name, value in {**self.sdk.default_headers, **self.sdk.auth_headers}.items()
            if isinstance(value, str)
        }

    async def post(self, body: object, *, headers: Mapping[str, str], timeouts: Timeouts) -> httpx2.Response:
        """Send a body as JSON; return the response, whose own body is not read yet.

        Raises:
            APIStatusError, APITimeoutError, APIConnectionError: as the SDK does, with the same in them.
        """
        request = httpx2.Request(
            "POST",
            self._url,
            headers={**self._headers, **headers},
            content=msgspec.json.encode(body),
            extensions={
                "timeout": {"connect": timeouts.connect_s, "pool": timeouts.connect_s, "read": None, "write": None}
            },
        )
        try:
            response = await self._http.send(request, stream=True)
        except httpx2.TimeoutException as error:
            raise APITimeoutError(request=request) from error
        except httpx2.HTTPError as error:
            raise APIConnectionError(request=request) from error
        if response.is_success:
            return response
        try:
            raise await _status_error(response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the pool."""
        await self.sdk.close()


async def _status_error(response: httpx2.Response) -> APIStatusError:
    try:
        text = (await response.aread()).decode(errors="replace").strip()
    except httpx2.HTTPError:
        text = ""
    try:
        body: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        body = text
    error = _field(body, "error") or body
    said = _field(error, "message")
    message = f"Error code: {response.status_code}" + (f" - {said}" if isinstance(said, str) and said else "")
    return APIStatusError(message, response=response, body=error)


def _field(body: object, name: str) -> object:
    return cast("dict[str, object]", body).get(name) if isinstance(body, dict) else None
