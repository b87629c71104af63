"""Every route of the API."""

from typing import Final

from litestar.types import ControllerRouterHandler

from api import accounts, freezes, key_routes, movements

ROUTES: Final[list[ControllerRouterHandler]] = [
    accounts.create,
    accounts.read,
    accounts.balance,
    accounts.events,
    movements.top_up,
    movements.grant,
    movements.adjust,
    movements.charge,
    freezes.freeze,
    freezes.read_freeze,
    freezes.confirm,
    freezes.rollback,
    key_routes.create,
    key_routes.list_all,
    key_routes.revoke,
]
