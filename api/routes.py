"""Every route of the API."""

from typing import Final

from litestar.types import ControllerRouterHandler

from api import accounts, batch, freezes, generations, health, key_routes, me, models, movements, openapi, streams

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
    batch.run_batch,
    generations.create,
    generations.list_all,
    generations.read,
    generations.cancel,
    generations.retry,
    streams.generation_events,
    streams.balance_events,
    models.list_offered,
    models.define,
    models.list_prices,
    models.set_price,
    me.me,
    me.balance,
    me.statement,
    health.live,
    health.ready,
    health.show_metrics,
    openapi.show_document,
]
