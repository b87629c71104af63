"""Answers with a JSON body, sent with as little work as ASGI allows."""

from typing import Any, Final, Generic, TypeVar

import msgspec
from litestar.response import Response
from litestar.types import Receive, Scope, Send

Content = TypeVar("Content")

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"
REPLAYED: Final = (b"idempotency-replayed", b"true")

encode: Final = msgspec.json.Encoder().encode

Header = tuple[bytes, bytes]


class RawAnswer:
    """Bytes that are ready to be sent, as an ASGI application."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, body: bytes, *, status: int, content_type: bytes = JSON, headers: tuple[Header, ...] = ()
    ) -> None:
        self._body = body
        self._status = status
        length = str(len(body)).encode()
        self._headers: list[Header] = [(b"content-type", content_type), (b"content-length", length), *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the status, the headers and the body."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class NoContent:
    """The answer 204, which has no body and so says nothing about one."""

    def __init__(self, headers: tuple[Header, ...] = ()) -> None:
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the status and the headers."""
        await send({"type": "http.response.start", "status": 204, "headers": self._headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


NO_CONTENT: Final = NoContent()


class Answer(Response[Content], Generic[Content]):
    """What a handler returns: the content, its status, and whether it repeats an earlier answer."""

    def __init__(self, content: Content, *, status: int = 200, replayed: bool = False) -> None:
        # Litestar's own constructor prepares cookies, background tasks and encoders that no answer of ours has.
        self.content = content
        self.status_code = status
        self.replayed = replayed

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Render; what Litestar would add (cookies, encoders, background tasks) is not used here."""
        return RawAnswer(encode(self.content), status=self.status_code, headers=(REPLAYED,) if self.replayed else ())
