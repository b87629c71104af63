"""Answering OPTIONS with all methods of a path; Litestar's own answer knows only those that were registered first."""

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from api.answers import NoContent


class OptionsMiddleware:
    """Answers OPTIONS requests; everything else goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or go on."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            methods = _methods(scope["litestar_app"], scope["path_template"])
            await NoContent(((b"allow", ", ".join(sorted(methods)).encode()),))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _methods(app: Litestar, path_template: str) -> set[str]:
    routes = [route for route in app.routes if route.path_format == path_template]
    return {method for route in routes for method in getattr(route, "methods", ())}
