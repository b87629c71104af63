"""Talking to PayPal's REST API: short JSON requests to one host, with a token that is fetched once for all who wait.

What matters of a failed request is whether PayPal may have carried it out. A connection that was never made says no;
one that broke later says nothing.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import httpx
import msgspec

from workers.payments.gateway import GatewayError
from workers.payments.gateways.paypal.errors import error_of
from workers.payments.gateways.paypal.wire import NAME, Problem, Token

CONNECT_S: Final = 5.0
ANSWER_S: Final = 25.0
"""How long one request may take. Captures that go to a bank take several seconds."""

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_CONNECTIONS: Final = 64

TOKEN_MARGIN_S: Final = 60.0
"""A token this close to its end is not used any more."""

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

Answer = TypeVar("Answer")


class PayPalHttp:
    """A connection pool to PayPal. It follows no redirects, because the token goes with every call."""

    def __init__(self, *, base_url: str, client_id: str, client_secret: str, answer_s: float = ANSWER_S) -> None:
        self._base_url = base_url
        self._credentials = httpx.BasicAuth(client_id, client_secret)
        self._answer_s = answer_s
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            timeout=httpx.Timeout(answer_s, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        )
        self._token = ""
        self._token_until_s = float("-inf")
        self._fetching_token = asyncio.Lock()

    async def get(self, path: str, answer: type[Answer], params: Mapping[str, str] | None = None) -> Answer:
        """Fetch an object.

        Raises:
            GatewayError: it could not be had.
        """
        return await self._call("GET", path, answer, params=params)

    async def post(self, path: str, answer: type[Answer], *, body: object, request_id: str) -> Answer:
        """Have something done. Repeating it under the same id does nothing a second time.

        Raises:
            GatewayError: it was not done, or may not have been.
        """
        headers = {"PayPal-Request-Id": request_id, "Prefer": "return=representation"}
        return await self._call("POST", path, answer, body=body, headers=headers)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})}
        token = await self._current_token()
        status, raw = await self._send(method, path, token, content=content, params=params, headers=sent)
        if status == 401:
            # Tokens end before their time too, when the secret was changed.
            token = await self._current_token(refused=token)
            status, raw = await self._send(method, path, token, content=content, params=params, headers=sent)
        if not 200 <= status < 300:
            raise error_of(method, path, status, _problem(raw))
        return _decode(method, path, raw, answer)

    async def _send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        content: bytes | None,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        request = self._client.build_request(
            method,
            self._base_url + path,
            content=content,
            params=params,
            headers={**headers, "Authorization": f"Bearer {token}", "Accept": "application/json"},
        )
        return await self._exchange(request, path)

    async def _current_token(self, *, refused: str = "") -> str:
        """Return the token, fetched if there is none, it ends soon, or it is the one that was refused.

        Whoever comes while it is being fetched waits for the same one.
        """
        async with self._fetching_token:
            if self._token and self._token != refused and time.monotonic() < self._token_until_s:
                return self._token
            asked_at_s = time.monotonic()
            token = await self._fetch_token()
            self._token = token.access_token
            self._token_until_s = asked_at_s + token.expires_in - TOKEN_MARGIN_S
            return self._token

    async def _fetch_token(self) -> Token:
        path = "/v1/oauth2/token"
        request = self._client.build_request(
            "POST",
            self._base_url + path,
            data={"grant_type": "client_credentials"},
            headers={"Accept": "application/json"},
        )
        status, raw = await self._exchange(request, path, auth=self._credentials, acts=False)
        if status != 200:
            error = error_of("POST", path, status, _problem(raw))
            raise GatewayError(NAME, str(error), retryable=True)
        return _decode("POST", path, raw, Token)

    async def _exchange(
        self, request: httpx.Request, path: str, *, auth: httpx.Auth | None = None, acts: bool = True
    ) -> tuple[int, bytes]:
        """Send a request and read the answer whole, whatever its status."""
        may_have_acted = acts and request.method != "GET"
        try:
            async with asyncio.timeout(self._answer_s + CONNECT_S):
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    return response.status_code, await _read(response)
                finally:
                    await response.aclose()
        except _NEVER_SENT as error:
            raise self._unreachable(request, path, error, ambiguous=False) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # A time-out of asyncio is an `OSError` too.
            raise self._unreachable(request, path, error, ambiguous=may_have_acted) from error

    def _unreachable(self, request: httpx.Request, path: str, error: Exception, *, ambiguous: bool) -> GatewayError:
        words = f"{request.method} {path}: no whole answer, {type(error).__name__}"
        return GatewayError(NAME, words, retryable=True, ambiguous=ambiguous)


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise httpx.ReadError("an answer has no end")
    return bytes(body)


def _decode(method: str, path: str, raw: bytes, answer: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(raw, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # It was done, whatever it was: repeating it under the same key asks for the answer once more.
        words = f"{method} {path}: an answer that makes no sense"
        raise GatewayError(NAME, words, retryable=True, ambiguous=method != "GET") from error


def _problem(raw: bytes) -> Problem:
    try:
        return msgspec.json.decode(raw, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Problem()
