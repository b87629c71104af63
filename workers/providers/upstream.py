"""Reading one upstream stream: the part that is the same whatever the wire format.

An SDK gives events; a `Reading` turns them into chunks and knows when the answer is complete; this module keeps the
deadlines, turns every failure into a `ProviderError`, and closes the connection whatever happens.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol, TypeVar

import anyio
import httpx2

from workers.providers.deadlines import Deadlines
from workers.providers.errors import MalformedResponse, ProviderError, Truncated, Unavailable
from workers.providers.interface import Chunk, JsonDelta, ProviderRequest, TextDelta

Event = TypeVar("Event")
EventRead_contra = TypeVar("EventRead_contra", contravariant=True)
EventSent_co = TypeVar("EventSent_co", covariant=True)

_CONNECTION_ERRORS = (httpx2.HTTPError, httpx2.StreamError, OSError, anyio.EndOfStream)
"""What escapes the SDKs when a connection breaks. `EndOfStream` is a TLS connection cut without a goodbye."""

_MISREAD_ERRORS = (AttributeError, TypeError, ValueError)
"""The SDKs build their objects without validating them: invalid JSON raises `ValueError`, a missing or mistyped field
becomes `None` and raises when it is used."""

Translate = Callable[[Exception, type[ProviderError]], ProviderError | None]
"""Makes our error of an SDK's, and `None` of any other. The second argument is what a broken connection means."""


class _End(Enum):
    """No further event. Not `None`, because that is what an SDK makes of the event `null`."""

    END = auto()


class UpstreamStream(Protocol[EventSent_co]):
    """The part of the SDKs' `AsyncStream` that is used."""

    async def __anext__(self) -> EventSent_co: ...

    async def close(self) -> None:
        """Close the response and its connection."""
        ...


class Reading(Protocol[EventRead_contra]):
    """Makes chunks of one provider's events. Pure: no I/O, no clock."""

    @property
    def patience_s(self) -> float | None:
        """`None` while the answer is incomplete; then how long it is worth waiting for what may still follow."""
        ...

    def feed(self, event: EventRead_contra) -> Iterable[Chunk]:
        """Yield the chunks one event makes."""
        ...

    def end(self) -> Iterable[Chunk]:
        """Yield the last chunks, once nothing more comes.

        Raises:
            Truncated: the answer was not complete.
            ContentRefused: the provider's filter ended it.
        """
        ...


async def read_upstream(
    *,
    request: ProviderRequest,
    provider: str,
    open_stream: Callable[[], Awaitable[UpstreamStream[Event]]],
    reading: Reading[Event],
    translate: Translate,
) -> AsyncGenerator[Chunk]:
    """Run one call: a connection that breaks before the answer began is `Unavailable`, later `Truncated`.

    No failure here is `ambiguous`, even where the request may have arrived: the provider stops writing when the
    connection ends, so nothing goes on without us, and asking again costs the input twice at the most.
    """
    deadlines = Deadlines(request.timeouts, provider=provider)
    with _as_provider_errors(provider, translate, broken=Unavailable):
        stream = await deadlines.wait(open_stream())
    try:
        while True:
            with _as_provider_errors(provider, translate, broken=Truncated):
                event = await _next_event(stream, deadlines, reading)
                if event is _End.END:
                    break
                chunks = tuple(reading.feed(event))
            for chunk in chunks:
                if isinstance(chunk, TextDelta | JsonDelta):
                    deadlines.text_began()
                yield chunk
    finally:
        await stream.close()
    for chunk in reading.end():
        yield chunk


async def _next_event(stream: UpstreamStream[Event], deadlines: Deadlines, reading: Reading[Event]) -> Event | _End:
    """Return the next event, or the end: of the stream, or of our patience once the answer is complete."""
    if reading.patience_s is None:
        return await deadlines.wait(anext(stream, _End.END))
    try:
        async with asyncio.timeout(reading.patience_s):
            return await anext(stream, _End.END)
    except Exception:  # noqa: BLE001 - the answer is complete; however the connection ends now, it stays complete
        return _End.END


@contextmanager
def _as_provider_errors(provider: str, translate: Translate, *, broken: type[ProviderError]) -> Generator[None]:
    try:
        yield
    except ProviderError:
        raise
    except Exception as error:
        if (translated := translate(error, broken)) is not None:
            raise translated from error
        words = f"{type(error).__name__}: {error}"
        if isinstance(error, _CONNECTION_ERRORS):
            raise broken(provider=provider, provider_message=words) from error
        if isinstance(error, _MISREAD_ERRORS):
            raise MalformedResponse(provider=provider, provider_message=words) from error
        raise
