"""Serving the API with uvicorn, so that a stop is noticed by those who read streams."""

import os
import socket
from collections.abc import Callable
from typing import Final

import uvicorn

from api.app import Application, create_app

GRACEFUL_TIMEOUT_S: Final = 3
HEADER_TIMEOUT_S: Final = 75
"""How long an idle connection is kept; longer than the usual 60 s of a load balancer, so that the balancer closes first."""


class Server(uvicorn.Server):
    """Uvicorn waits for open connections before it ends the application's lifespan, so open streams would hold it up.

    This one first tells the application to drain: each stream sends `reconnect` and ends, and then nothing is open.
    """

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop as uvicorn does."""
        self._drain()
        await super().shutdown(sockets)


def serve(*, host: str, port: int, app: Application | None = None, fd: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then exit within five seconds.

    With `fd`, an open listening socket is served instead of `host` and `port`.
    """
    application = create_app() if app is None else app
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        fd=fd,
        timeout_graceful_shutdown=GRACEFUL_TIMEOUT_S,
        timeout_keep_alive=HEADER_TIMEOUT_S,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
        ws="none",
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
    )
    Server(config, drain=application.drain).run()
