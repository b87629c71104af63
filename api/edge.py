"""What surrounds every request: its id, its line in the log, its place in the metrics, and an answer in any case."""

import re
import time
from typing import Any, Final

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from api import metrics, problems
from api.access_log import ENDED_BEFORE_ANSWER, AccessLine, AccessLog
from api.languages import wanted_language
from workers.logs import bind_request, redact_text

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_UNMATCHED: Final = "(no route)"
_QUIET_ROUTES: Final = frozenset({"/health/live", "/health/ready", "/metrics"})

_log: Final = structlog.get_logger("api")


class Edge:
    """The outermost application. It takes over a sane `X-Request-ID`, or draws one, and never lets an exception out."""

    def __init__(self, app: ASGIApp, access_log: AccessLog) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; what is not HTTP is passed on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the last line of defence; the error is logged in full
            await exchange.fail(error, receive)
        finally:
            exchange.record(self._access_log)


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_began", "_logged_id", "_request_id", "_scope", "_send", "_status")

    def __init__(self, scope: Any, send: Send) -> None:
        self._began = time.perf_counter()
        self._scope = scope
        self._send = send
        self._status = 0
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        is_given = _SANE_ID.fullmatch(given) is not None
        request_id = given.decode("ascii") if is_given else str(uuid7())
        self._request_id = request_id.encode("ascii")
        self._logged_id = redact_text(request_id) if is_given else request_id
        # Scopes of one server share the lifespan's state; this request's is its own.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        bind_request(self._logged_id)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self._request_id)]
        await self._send(message)

    async def fail(self, error: Exception, receive: Receive) -> None:
        _log.error("unanswered_error", exc_info=error, started=bool(self._status))
        if self._status == 0:
            language = wanted_language(self._scope["headers"])
            answer = problems.INTERNAL.answer(self._request_id.decode("ascii"), language=language)
            await answer(self._scope, receive, self.send)

    def record(self, access_log: AccessLog) -> None:
        scope = self._scope
        seconds = time.perf_counter() - self._began
        route = scope.get("path_template") or _UNMATCHED
        status = self._status or ENDED_BEFORE_ANSWER
        metrics.record_request(scope["method"], route, status, seconds)
        if route in _QUIET_ROUTES and status < 400:
            return
        principal = scope.get("user")
        access_log.write(
            AccessLine(
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                actor=None if principal is None else principal.actor,
                request_id=self._logged_id,
            )
        )
