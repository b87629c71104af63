"""The application: routes, errors, lifespan."""

import contextlib
import sys
from collections.abc import AsyncGenerator
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware
from litestar.types import Receive, Scope, Send

from api import problems
from api.access_log import AccessLog
from api.auth import AuthenticationMiddleware, check_routes
from api.edge import Edge
from api.options import OptionsMiddleware
from api.requests import ApiRequest
from api.routes import ROUTES
from api.services import Services, open_services
from api.settings import ApiSettings, read_settings
from workers.logs import configure_logs

MAX_BODY_BYTES: Final = 1024 * 1024


class RoutedApp(Litestar):
    """Litestar with our resources as a typed attribute; they exist from start-up to shutdown."""

    services: Services


class Application:
    """The ASGI application of the `web` process. It can run again after it stopped, then with other `settings`."""

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings
        self.routed = RoutedApp(
            route_handlers=ROUTES,
            request_class=ApiRequest,
            middleware=[
                OptionsMiddleware,
                DefineMiddleware(AuthenticationMiddleware, authenticator=lambda: self.routed.services.authenticator),
            ],
            exception_handlers={Exception: problems.handle},
            lifespan=[lambda _: self.running()],
            request_max_body_size=MAX_BODY_BYTES,
            openapi_config=None,  # `api.openapi` builds the document
            logging_config=None,
            state=State(),
        )
        check_routes(self.routed)
        self._edge = Edge(self.routed, AccessLog(as_json=_logs_as_json(settings.platform.log_format)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await self._edge(scope, receive, send)

    async def drain(self) -> None:
        """Ask the readers of all streams to reconnect, because this process is about to stop."""
        await self.routed.services.drain()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Services]:
        """Open what the application needs for as long as it runs; a server does so by the lifespan protocol."""
        async with open_services(self.settings) as services:
            self.routed.services = services
            yield services


def _logs_as_json(log_format: str) -> bool:
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())


def create_app() -> Application:
    """Build the application from the environment; nothing is opened before the server starts it.

    Raises:
        SettingsError: the environment lacks something, or contradicts itself.
    """
    settings = read_settings()
    configure_logs(process="web", log_format=settings.platform.log_format, level=settings.platform.log_level)
    return Application(settings)
