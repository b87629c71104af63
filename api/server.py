"""Serving the API with uvicorn: readers of streams are told of a stop, and one who does not read can be cut off."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.app import create_app
from api.event_stream import DIRECT_EXTENSION
from ledger.garbage import collect_rarely
from workers.payments.gateways.registry import Gateways

GRACEFUL_TIMEOUT_S: Final = 2
KEEP_ALIVE_S: Final = 75
"""How long an idle connection is kept: longer than the 60 s of most load balancers, so that they close first."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, with the connection itself for streams: to write to directly, and to abort.

    Closing a connection waits until the peer has taken what was written, which a peer that stopped reading never does.
    """

    def on_message_begin(self) -> None:
        """Begin a request as uvicorn does, and hand in the extension."""
        super().on_message_begin()
        self.scope["extensions"] = {DIRECT_EXTENSION: {"transport": self.transport, "flow": self.flow}}


class Server(uvicorn.Server):
    """Uvicorn waits for open connections before it ends the application's lifespan, so open streams would hold it up.

    This one first has the application drain: each stream sends `reconnect` and ends, and then nothing is open.
    """

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        await self._drain()
        await super().shutdown(sockets)


def serve(*, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; then exit within five seconds.

    Raises:
        SettingsError: the environment lacks something, or contradicts itself.
    """
    application = create_app()
    _check_gateways(application.settings.platform.environment)
    collect_rarely()
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        http=Protocol,
        timeout_graceful_shutdown=GRACEFUL_TIMEOUT_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
        ws="none",
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
    )
    Server(config, drain=application.drain).run()


def _check_gateways(environment: Mapping[str, str]) -> None:
    """Make the gateways once before anything is open: what is wrong with their settings is one line then."""
    gateways = Gateways(environment)
    gateways.make_configured()
    asyncio.run(gateways.aclose())
