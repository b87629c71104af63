"""One line per answered request, cheap enough for thousands a second.

The lines look like all others (see `workers.logs`), but are encoded in one step and written together, once per turn of
the event loop: through structlog and `logging` they took a quarter of the process. Nothing in them needs redaction:
routes are templates, actors are ids, and a request id that looks like a secret is hidden before it gets here.
"""

import asyncio
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec
import structlog

LOGGER: Final = "api.access"
ENDED_BEFORE_ANSWER: Final = 499
"""The status of a request whose caller left before there was an answer."""

_log: Final = structlog.get_logger(LOGGER)
_encode: Final = msgspec.json.Encoder().encode


class AccessLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about one request."""

    event: str = "request"
    method: str
    route: str
    status: int
    ms: float
    actor: str | None
    request_id: str
    level: str = "info"
    logger: str = LOGGER
    process: str = "web"
    timestamp: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class AccessLog:
    """Writes access lines as JSON lines, or as structlog does where a person reads them."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._as_json = as_json
        self._stream = stream or sys.stderr
        self._waiting: list[bytes] = []

    def write(self, line: AccessLine) -> None:
        """Write the line soon."""
        if not logging.getLogger(LOGGER).isEnabledFor(logging.INFO):
            return
        if not self._as_json:
            _log.info(
                line.event, **{name: getattr(line, name) for name in ("method", "route", "status", "ms", "actor")}
            )
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(_encode(line))

    def _flush(self) -> None:
        text = b"\n".join(self._waiting).decode()
        self._waiting.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()
