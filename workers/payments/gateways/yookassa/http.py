"""Calls to YooKassa's REST API: how long they may take, when they are repeated, and what their failure means.

What matters of a failed call is whether it may have been carried out. One whose connection was never made was not. One
that was answered by 5xx, or not at all, may have been: YooKassa itself says of such an answer that the outcome is
unknown. It is repeated under the same key, a few times here and then by whoever called.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import httpx
import msgspec
from msgspec import Struct

from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.gateways.yookassa.objects import ErrorBody
from workers.payments.gateways.yookassa.translating import NAME

T = TypeVar("T")

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
MAX_CONNECTIONS: Final = 64

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Patience(Struct, frozen=True, kw_only=True):
    """How long to wait, and how often to try."""

    answer_s: float
    """For one answer, whole."""
    total_s: float
    """For all tries together; none begins after it, and each ends with it."""
    connect_s: float = 3.0
    tries: int = 3
    pause_s: float = 0.3
    """Before the second try; doubled before each one after it, unless YooKassa names a time."""


ASKING: Final = Patience(answer_s=6, total_s=13)
"""For what changes nothing. Shorter than a worker may take for one webhook."""

MAKING: Final = Patience(answer_s=20, total_s=35)
"""For what moves money, where banks have a say."""


class _Failure(NamedTuple):
    error: GatewayError
    soon: bool
    """Whether it is worth another try at once."""
    retry_after_s: float = 0.0


class YooKassaHttp:
    """A pool of connections to YooKassa. It follows no redirects, because the key goes with every call."""

    def __init__(self, *, shop_id: str, secret_key: str, base_url: str, asking: Patience, making: Patience) -> None:
        self._base_url = base_url
        self._asking = asking
        self._making = making
        self._client = httpx.AsyncClient(
            auth=httpx.BasicAuth(shop_id, secret_key),
            headers={"Accept": "application/json"},
            follow_redirects=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        )

    async def get(self, path: str, answer: type[T], *, params: Mapping[str, str] | None = None) -> T:
        """Return what is at a path.

        Raises:
            UnknownObject: nothing is.
            GatewayError: there was no good answer.
        """
        request = self._client.build_request("GET", f"{self._base_url}/{path}", params=params)
        return await self._call(request, answer, self._asking)

    async def post(self, path: str, body: Mapping[str, Any], answer: type[T], *, key: str) -> T:
        """Make something. A second call with the same key and body returns the same thing.

        Raises:
            GatewayError: there was no good answer; `ambiguous` where it may have been made.
        """
        request = self._client.build_request(
            "POST",
            f"{self._base_url}/{path}",
            content=msgspec.json.encode(body),
            headers={"Idempotence-Key": key, "Content-Type": "application/json"},
        )
        return await self._call(request, answer, self._making)

    async def aclose(self) -> None:
        """Close the pool. A second call does nothing."""
        await self._client.aclose()

    async def _call(self, request: httpx.Request, answer: type[T], patience: Patience) -> T:
        until_s = time.monotonic() + patience.total_s
        may_be_done = False
        for tries in range(1, patience.tries + 1):
            found = await self._try(request, answer, patience, until_s)
            if not isinstance(found, _Failure):
                return found
            may_be_done = may_be_done or found.error.ambiguous
            pause_s = max(patience.pause_s * 2 ** (tries - 1), found.retry_after_s)
            if not found.soon or tries == patience.tries or time.monotonic() + pause_s >= until_s:
                found.error.ambiguous = may_be_done
                raise found.error
            await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _try(self, request: httpx.Request, answer: type[T], patience: Patience, until_s: float) -> T | _Failure:
        changes = request.method != "GET"
        answer_s = min(patience.answer_s, max(until_s - time.monotonic(), 0.001))
        request.extensions = {"timeout": httpx.Timeout(answer_s, connect=patience.connect_s).as_dict()}
        try:
            async with asyncio.timeout(answer_s):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except _NEVER_SENT as error:
            return _Failure(_unavailable(error, ambiguous=False), soon=True)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # A time-out of asyncio is an `OSError` too.
            return _Failure(_unavailable(error, ambiguous=changes), soon=True)
        if response.status_code != 200:
            return _refused(response, body, changes=changes)
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            words = f"an answer that makes no sense: {error}"[:200]
            return _Failure(GatewayError(NAME, words, retryable=True, ambiguous=changes), soon=False)


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise httpx.ReadError("an answer has no end")
    return bytes(body)


def _unavailable(error: Exception, *, ambiguous: bool) -> GatewayError:
    words = f"no answer: {type(error).__name__} {error}".strip()[:200]
    return GatewayError(NAME, words, retryable=True, ambiguous=ambiguous)


def _refused(response: httpx.Response, body: bytes, *, changes: bool) -> _Failure:
    status = response.status_code
    why = _why(body)
    parts = [f"status {status}", why.code, why.description, why.parameter and f"({why.parameter})"]
    words = " ".join(part for part in parts if part)[:300]
    if status == 404:
        return _Failure(UnknownObject(NAME, words), soon=False)
    if status == 429:
        return _Failure(GatewayError(NAME, words, retryable=True), soon=True, retry_after_s=_retry_after_s(response))
    if status >= 500 or status in (202, 408):
        error = GatewayError(NAME, words, retryable=True, ambiguous=changes)
        return _Failure(error, soon=True, retry_after_s=_retry_after_s(response))
    if status == 401:
        # The key is wrong: most likely it is being changed, and the next process has the right one.
        return _Failure(GatewayError(NAME, words, retryable=True), soon=False)
    if status == 400 and why.parameter == "payment_method_id":
        return _Failure(MethodRefused(NAME, words), soon=False)
    # Something was made under this key before, of other data.
    is_other = status == 400 and why.parameter.lower() == "idempotence-key"
    return _Failure(GatewayError(NAME, words, retryable=False, ambiguous=is_other), soon=False)


class MethodRefused(GatewayError):
    """There is no such saved means of payment, or not any more."""

    def __init__(self, gateway: str, message: str) -> None:
        super().__init__(gateway, message, retryable=False)


def _why(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorBody()


def _retry_after_s(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value[:6]) if value.isascii() and value.isdigit() else 0.0
