"""From an `Authorization` header to a principal, and from a role to yes or no."""

import hmac
from collections.abc import Callable
from typing import Final

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from api.errors import Forbidden, Unauthenticated
from api.keys import parse_key
from api.known_keys import KnownKeys
from api.principal import Principal, Role
from api.settings import ApiSettings
from api.tokens import TokenVerifier

_BOOTSTRAP: Final = Principal(Role.admin, "bootstrap")
_SCHEME: Final = "bearer "


class Authenticator:
    """Finds out who is asking.

    API keys are those that the database knows: once it was said that one is revoked, no request that arrives has it.
    """

    def __init__(self, settings: ApiSettings, keys: KnownKeys) -> None:
        self._bootstrap_key = settings.bootstrap_admin_key.encode()
        self._tokens = TokenVerifier(settings)
        self._keys = keys

    async def authenticate(self, header: str) -> Principal:
        """Return who the header proves the caller to be.

        Raises:
            Unauthenticated: no credential, or not a good one.
        """
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated
        credential = header[len(_SCHEME) :].strip()
        principal = await self._holder_of(credential)
        if principal is None:
            raise Unauthenticated
        return principal

    async def _holder_of(self, credential: str) -> Principal | None:
        key = parse_key(credential)
        if key is not None:
            key_id, secret = key
            stored = await self._keys.get(key_id)
            return stored.principal if stored is not None and stored.admits(secret) else None
        if self._bootstrap_key and hmac.compare_digest(credential.encode(), self._bootstrap_key):
            return _BOOTSTRAP
        return self._tokens.verify(credential)


class AuthenticationMiddleware:
    """Lets in callers whose role the route admits: 401 for the unknown, 403 for the others.

    A route says whom it admits in `opt["roles"]`; `check_routes` refuses to start with one that says nothing.
    Litestar's guards would do the same, but copy the route's handler for every request.
    """

    def __init__(self, app: ASGIApp, authenticator: Callable[[], Authenticator]) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, check the role, and go on."""
        roles: frozenset[Role] | None = scope["route_handler"].opt.get("roles")
        if roles is not None:
            header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            principal = await self._authenticator().authenticate(header.decode("latin-1"))
            if principal.role not in roles:
                raise Forbidden(principal.role)
            scope["user"] = principal
        await self._app(scope, receive, send)


def check_routes(app: Litestar) -> None:
    """Make sure that every route says whom it admits, or that it is open to all.

    Raises:
        AssertionError: one does not.
    """
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            is_automatic = handler.http_methods == {"OPTIONS"}
            assert is_automatic or "roles" in handler.opt, f"{handler} does not say which roles it admits"
