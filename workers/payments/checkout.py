"""Checkouts: an order of ours, and the page of a gateway where its customer pays.

The order is committed first, then the gateway makes its object under the order's id, then its address is kept. A crash
in between leaves an order that the same request completes: under one idempotency key there is one order, and at the
gateway one object. Nothing here credits anything; that takes the gateway's own word.
"""

import hashlib
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import replace

from ledger.database import Database
from ledger.errors import IdempotencyKeyReused
from workers.payments.catalogue import PACK, PLAN, current_offer, pack_version, plan_version, price_key, title_of
from workers.payments.catalogue.definitions import FALLBACK
from workers.payments.errors import AlreadySubscribed, CheckoutExpired, CheckoutNotFound, PlanNotSoldHere
from workers.payments.facts import SubscriptionStatus
from workers.payments.gateway import Gateway, Purchase
from workers.payments.gateways.registry import Gateways
from workers.payments.ordering import NewOrder, place_order
from workers.payments.orders import START_WITHIN_S, Order, find_order, sql
from workers.payments.subscriptions.rows import subscription_of

GOING_ON: Final = frozenset({SubscriptionStatus.active, SubscriptionStatus.past_due, SubscriptionStatus.paused})


class CheckoutWish(Struct, frozen=True, kw_only=True):
    """What somebody wants to buy: a pack, or with `is_plan` a plan; through which gateway, and how."""

    account_id: UUID
    product: str
    is_plan: bool
    gateway: str
    currency: str
    country: str | None
    return_url: str
    save_method: bool = False
    language: str = FALLBACK
    """Of the gateway's page. A repeated request may come with another one; the first one counts."""
    idempotency_key: str | None = None

    @property
    def key_sha256(self) -> bytes | None:
        """What the key is kept as."""
        return None if self.idempotency_key is None else hashlib.sha256(self.idempotency_key.encode()).digest()

    def sha256(self) -> bytes:
        """Return what tells this request from another one under the same key."""
        identity = [
            self.product,
            self.is_plan,
            self.gateway,
            self.currency,
            self.country,
            self.return_url,
            self.save_method,
        ]
        return hashlib.sha256(encode(identity)).digest()


class StartedCheckout(Struct, frozen=True, kw_only=True):
    """An order that is with its gateway. With `replayed` it already was, under the same idempotency key."""

    id: UUID
    url: str
    replayed: bool


async def start_checkout(database: Database, gateways: Gateways, wish: CheckoutWish) -> StartedCheckout:
    """Make an order at today's price and start it at its gateway; under the same key, the same one.

    Raises:
        PackNotFound, PlanNotFound: there is none of this name, or it is not for sale.
        CurrencyNotOffered: it is not sold in this currency to this country.
        PlanNotSoldHere: this gateway sells packs only.
        AlreadySubscribed: the account has a plan that goes on.
        GatewayNotConfigured: there is no such gateway, or it has no keys here.
        GatewayError: it did not do what it should have done; what is missing is done when the request is repeated.
        IdempotencyKeyReused: the key belongs to another request of this account.
        CheckoutExpired: the order under this key is too old to be started now.
        AccountNotFound: there is no such account.
    """
    order_id = await _earlier(database, wish)
    if order_id is None:
        order_id = await _place(database, gateways.get(wish.gateway), wish)
    return await _start(database, gateways, wish, order_id)


async def get_checkout(database: Database, checkout_id: UUID, *, account_id: UUID | None) -> Order:
    """Return an order, of this account or of any.

    Raises:
        CheckoutNotFound: there is none, or it is another account's.
    """
    order = await find_order(database, checkout_id)
    if order is None or account_id not in {None, order.account_id}:
        raise CheckoutNotFound(checkout_id)
    return order


async def _earlier(database: Database, wish: CheckoutWish) -> UUID | None:
    """Return the order under this key, if there is one."""
    if wish.idempotency_key is None:
        return None
    parameters = {"account_id": wish.account_id, "idempotency_sha256": wish.key_sha256}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_ORDER_BY_KEY, parameters)).fetchone()
    if row is None:
        return None
    if row[1] != wish.sha256():
        raise IdempotencyKeyReused(wish.idempotency_key)
    return row[0]


async def _place(database: Database, gateway: Gateway, wish: CheckoutWish) -> UUID:
    order = await _offered(database, gateway, wish)
    if await place_order(database, order):
        return order.id
    # The same request was here at the same time.
    earlier = await _earlier(database, wish)
    assert earlier is not None, "nothing else can stand in the way of a new order"
    return earlier


async def _offered(database: Database, gateway: Gateway, wish: CheckoutWish) -> NewOrder:
    buyer = {"currency": wish.currency, "country": wish.country}
    if wish.is_plan:
        offer = await current_offer(database, PLAN, wish.product, **buyer)
        if gateway.renewed_by == "nobody":
            raise PlanNotSoldHere(wish.product, gateway=gateway.name)
        await _check_without_plan(database, wish.account_id)
    else:
        offer = await current_offer(database, PACK, wish.product, **buyer)
    purpose = "plan" if wish.is_plan else "pack"
    order = NewOrder.of(offer, account_id=wish.account_id, gateway=gateway.name, purpose=purpose)
    return replace(order, language=wish.language, idempotency_sha256=wish.key_sha256, request_sha256=wish.sha256())


async def _check_without_plan(database: Database, account_id: UUID) -> None:
    subscription = await subscription_of(database, account_id)
    if subscription is None or subscription.status not in GOING_ON or subscription.ends_at_period_end:
        return
    raise AlreadySubscribed("" if subscription.plan is None else subscription.plan.name)


async def _start(database: Database, gateways: Gateways, wish: CheckoutWish, order_id: UUID) -> StartedCheckout:
    parameters = {"id": order_id, "start_within_s": START_WITHIN_S}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_ORDER_TO_START, parameters)).fetchone()
    assert row is not None, "orders are never deleted"
    url, language, email, is_too_old = row
    if url is not None:
        return StartedCheckout(id=order_id, url=url, replayed=True)
    if is_too_old:
        raise CheckoutExpired(order_id)
    gateway, order = gateways.get(wish.gateway), await find_order(database, order_id)
    assert order is not None, "orders are never deleted"
    purchase = await _purchase(database, gateway, wish, order, language=language or FALLBACK, email=email or "")
    started = await gateway.start_purchase(purchase)
    kept = {"id": order_id, "gateway_id": started.gateway_id, "url": started.url}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.START_ORDER, kept)).fetchone()
    assert row is not None, "orders are never deleted"
    return StartedCheckout(id=order_id, url=row[0], replayed=False)


async def _purchase(
    database: Database, gateway: Gateway, wish: CheckoutWish, order: Order, *, language: str, email: str
) -> Purchase:
    """Return the order as its gateway has to know it: the same each time, for it is told under one key."""
    if order.purpose == "plan":
        plan = await plan_version(database, order.product, order.product_version)
        title, months = title_of(plan, language), plan.months
        key = price_key(order.product, order.product_version, order.region)
    else:
        pack = await pack_version(database, order.product, order.product_version)
        title, months, key = title_of(pack, language), 0, ""
    return Purchase(
        order_id=order.id,
        account_id=order.account_id,
        title=title,
        price=order.price,
        tax_inclusive=order.tax_inclusive,
        return_url=wish.return_url,
        language=language,
        email=email,
        price_key=key,
        months=months,
        save_method=wish.save_method or (order.purpose == "plan" and gateway.renewed_by == "us"),
    )
