"""The bytes of media objects that are files of this machine: what a bucket would answer to its signed URLs.

The signature in the URL is the credential. What it does not say, such as the type, cannot be asked for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from litestar import get, put
from litestar.exceptions import InternalServerException
from litestar.types import ASGIApp, Receive, Scope, Send

from api.answers import NoContent
from api.byte_ranges import parse_range
from api.errors import NotFound
from api.requests import ApiRequest
from workers.media.errors import MediaNotFound, ObjectExists, UploadMismatch
from workers.media.local import LocalStore
from workers.media.signing import PATH, Grant
from workers.media.store import content_disposition

_OPEN: Final = {"roles": None, "undocumented": True}


class FileAnswer:
    """A file, or a part of it, as an ASGI application."""

    def __init__(self, store: LocalStore, grant: Grant, *, size_bytes: int, part: range | None) -> None:
        self._store = store
        self._key = grant.key
        self._part = part or range(size_bytes)
        self._is_part = part is not None
        disposition = content_disposition(grant.media_type, grant.filename)
        self._headers = [
            (b"content-type", grant.media_type.encode()),
            (b"content-length", str(len(self._part)).encode()),
            (b"content-disposition", disposition.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", b"private, max-age=3600, immutable"),
        ]
        if part is not None:
            self._headers.append((b"content-range", f"bytes {part.start}-{part.stop - 1}/{size_bytes}".encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and then the bytes, as fast as they are taken and for as long as anyone takes them."""
        await send({"type": "http.response.start", "status": 206 if self._is_part else 200, "headers": self._headers})
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await self._send_pieces(send, leaving)
        finally:
            leaving.cancel()

    async def _send_pieces(self, send: Send, leaving: "asyncio.Future[None]") -> None:
        pieces = self._store.read(self._key, start=self._part.start, length=len(self._part))
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@get(f"{PATH}{{key:path}}", opt=_OPEN)
async def download(request: ApiRequest) -> ASGIApp:
    """Serve a file to whoever has a signed URL for it."""
    store, grant = _granted(request, "GET")
    found = await store.head(grant.key)
    if found is None:
        raise MediaNotFound(grant.key.rpartition("/")[2])
    part = parse_range(request.header(b"range"), size_bytes=found.size_bytes)
    return FileAnswer(store, grant, size_bytes=found.size_bytes, part=part)


@put(f"{PATH}{{key:path}}", opt=_OPEN, request_max_body_size=None)
async def upload(request: ApiRequest) -> ASGIApp:
    """Take a file from whoever has a signed URL for it; exactly what was announced, and only once."""
    store, grant = _granted(request, "PUT")
    await receive_file(request, store, grant)
    return NoContent()


async def receive_file(request: ApiRequest, store: LocalStore, grant: Grant) -> None:
    """Write a request's body to its place.

    Raises:
        UploadMismatch: it is longer, shorter or of another type than what was signed.
        ObjectExists: there is a file in this place already.
    """
    assert grant.size_bytes is not None, "an upload is signed with its size"
    if request.header(b"content-type") != grant.media_type:
        raise UploadMismatch(f"the Content-Type is not {grant.media_type}")
    if request.header(b"content-length") not in {None, str(grant.size_bytes)}:
        raise UploadMismatch(f"the Content-Length is not {grant.size_bytes}")
    size_bytes = 0
    async with store.writing(grant.key, media_type=grant.media_type) as writer:
        async for piece in _body(request):
            size_bytes += len(piece)
            if size_bytes > grant.size_bytes:
                break
            await writer.write(piece)
        if size_bytes != grant.size_bytes:
            raise UploadMismatch(f"it does not have {grant.size_bytes} bytes")
        if not await writer.commit():
            raise ObjectExists


async def _body(request: ApiRequest) -> AsyncIterator[bytes]:
    """Yield a request's body as it comes; that its client has left is no fault of ours."""
    try:
        async for piece in request.stream():
            yield piece
    except InternalServerException:
        raise UploadMismatch("it broke off") from None


async def _left(receive: Receive) -> None:
    """Return when the client is gone. The server says so only here, and takes bytes for nobody without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _granted(request: ApiRequest, method: str) -> tuple[LocalStore, Grant]:
    store = request.services.generations.media.store
    if not isinstance(store, LocalStore):
        raise NotFound("file")
    key = request.scope["path"].removeprefix(PATH)
    return store, store.signer.check(method, key, _query(request))


def _query(request: ApiRequest) -> Mapping[str, str]:
    return dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=10))
