"""Talking to Paddle's REST API: one request, what its failure means, and lists page by page."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
from msgspec import Struct

from workers.payments.gateway import Declined, GatewayError, UnknownObject

NAME: Final = "paddle"
VERSION: Final = "1"

ANSWER_S: Final = 20.0
CHARGE_S: Final = 40.0
"""Requests that charge somebody at once take as long as the bank does."""
CONNECT_S: Final = 5.0

READ_TRIES: Final = 2
PATIENT_TRIES: Final = 8
SHORTEST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0
LONGEST_PATIENT_PAUSE_S: Final = 90.0
"""Paddle counts 240 requests a minute for each IP address, and says how long to wait after that."""

MAX_PAGES: Final = 100_000
MAX_DETAIL_CHARACTERS: Final = 300

DECLINED_CODES: Final = frozenset({"subscription_payment_declined", "transaction_payment_declined"})
PASSING_CODES: Final = frozenset({"concurrent_modification", "adjustment_pending_refund_request"})
LOCKED_PREFIX: Final = "subscription_locked"

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS = 401, 403, 404, 429

T = TypeVar("T")


class _Pagination(Struct, frozen=True):
    next: str = ""
    has_more: bool = False


class _Meta(Struct, frozen=True):
    request_id: str = ""
    pagination: _Pagination | None = None


class _Problem(Struct, frozen=True):
    code: str = ""
    detail: str = ""


class _Answer(Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"null")
    meta: _Meta = _Meta()
    error: _Problem | None = None


class PaddleApi:
    """A connection pool to Paddle. It goes to no other host and follows no redirect: each request carries the key."""

    def __init__(self, *, base_url: str, key: str, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._base_url = base_url
        self._pause = pause
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}", "Paddle-Version": VERSION, "Accept": "application/json"},
            follow_redirects=False,
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        )

    async def read(self, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        """Return the object at a path.

        Raises:
            UnknownObject: there is none.
            GatewayError: Paddle did not answer, or not properly.
        """
        answer = await self._patiently(path, params or {}, tries=READ_TRIES, longest_s=LONGEST_PAUSE_S)
        return self._decode(answer, kind, path)

    async def write(
        self, method: str, path: str, body: Mapping[str, Any], kind: type[T], *, answer_s: float = ANSWER_S
    ) -> T:
        """Send a request that changes something, once: Paddle knows no idempotency keys.

        Raises:
            Declined: the bank said no.
            GatewayError: it was not done; or it may have been, where that is `ambiguous`.
        """
        reply = await self._send(method, path, params={}, body=body, answer_s=answer_s)
        answer = self._answer(reply, method, path)
        return self._decode(answer, kind, path, is_write=True)

    async def pages(
        self, path: str, kind: type[T], params: Mapping[str, str], *, max_pages: int = MAX_PAGES, patient: bool = True
    ) -> AsyncGenerator[tuple[T, ...], None]:
        """Yield a list page by page, `max_pages` of them at most; with patience for limits on how often we may ask."""
        tries, longest_s = (PATIENT_TRIES, LONGEST_PATIENT_PAUSE_S) if patient else (READ_TRIES, LONGEST_PAUSE_S)
        params = dict(params)
        for _ in range(max_pages):
            answer = await self._patiently(path, params, tries=tries, longest_s=longest_s)
            yield self._decode(answer, tuple[kind, ...], path)
            pagination = answer.meta.pagination
            if pagination is None or not pagination.has_more:
                return
            # Only what is asked for is taken from the address of the next page, never the host.
            following = dict(parse_qsl(urlsplit(pagination.next).query))
            if "after" not in following or following["after"] == params.get("after"):
                raise self._error(f"GET {path}: its next page is the same page", retryable=True)
            params["after"] = following["after"]

    async def aclose(self) -> None:
        """Close the pool. A second call does nothing."""
        await self._client.aclose()

    async def _patiently(self, path: str, params: Mapping[str, str], *, tries: int, longest_s: float) -> _Answer:
        for attempt in range(1, tries + 1):
            pause_s = SHORTEST_PAUSE_S * 2 ** (attempt - 1)
            try:
                reply = await self._send("GET", path, params=params, body=None, answer_s=ANSWER_S)
            except GatewayError:
                if attempt == tries:
                    raise
            else:
                is_passing = reply.status_code == TOO_MANY_REQUESTS or reply.is_server_error
                pause_s = max(pause_s, _retry_after_s(reply))
                if not is_passing or attempt == tries or pause_s > longest_s:
                    return self._answer(reply, "GET", path)
            await self._pause(min(pause_s, longest_s))
        raise AssertionError("the last attempt returns or raises")

    async def _send(
        self, method: str, path: str, *, params: Mapping[str, str], body: Mapping[str, Any] | None, answer_s: float
    ) -> httpx.Response:
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        timeout = httpx.Timeout(answer_s, connect=CONNECT_S, pool=CONNECT_S)
        try:
            async with asyncio.timeout(answer_s + CONNECT_S):
                return await self._client.request(
                    method, self._base_url + path, params=params, content=content, headers=headers, timeout=timeout
                )
        except _NEVER_SENT as error:
            raise self._error(f"{method} {path}: {type(error).__name__}", retryable=True) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            # A time-out of asyncio is an `OSError` too.
            is_write = method != "GET"
            raise self._error(f"{method} {path}: {type(error).__name__}", retryable=True, ambiguous=is_write) from error

    def _answer(self, reply: httpx.Response, method: str, path: str) -> _Answer:
        try:
            answer = msgspec.json.decode(reply.content, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            answer = _Answer()
        if reply.is_success and answer.error is None:
            return answer
        raise self._refusal(reply.status_code, answer, f"{method} {path}", is_write=method != "GET")

    def _refusal(self, status: int, answer: _Answer, what: str, *, is_write: bool) -> GatewayError:
        problem = answer.error or _Problem()
        text = f"{what}: {status} {problem.code}: {problem.detail[:MAX_DETAIL_CHARACTERS]} [{answer.meta.request_id}]"
        if problem.code in DECLINED_CODES:
            return Declined(NAME, text)
        if status == NOT_FOUND:
            return UnknownObject(NAME, text)
        if 400 <= status < 500:
            return self._error(text, retryable=_is_passing(status, problem.code))
        return self._error(text, retryable=True, ambiguous=is_write)

    def _decode(self, answer: _Answer, kind: type[T], path: str, *, is_write: bool = False) -> T:
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"{path}: an answer that makes no sense: {error}"
            raise self._error(text, retryable=True, ambiguous=is_write) from error

    @staticmethod
    def _error(text: str, *, retryable: bool, ambiguous: bool = False) -> GatewayError:
        return GatewayError(NAME, text, retryable=retryable, ambiguous=ambiguous)


def _is_passing(status: int, code: str) -> bool:
    """Whether what was refused may succeed later as it is.

    A key that Paddle does not take is our mistake and nothing that the request could mend: it is right once the key is.
    """
    if status in {UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS}:
        return True
    return code in PASSING_CODES or code.startswith(LOCKED_PREFIX)


def _retry_after_s(reply: httpx.Response) -> float:
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
