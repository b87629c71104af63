"""The plan of an account: what it is now, and what its owner wants of it. What it becomes is for its gateway to say."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from api.answers import Answer
from api.checkouts import ReturnUrl
from api.fields import credits_of
from api.idempotency import once
from api.languages import wanted_language
from api.ownership import own_account
from api.principal import MOVERS, READERS, USERS
from api.requests import ApiRequest
from api.shop_views import PriceAnswer, price_answer
from ledger.rows import from_us
from workers.payments.catalogue import title_of
from workers.payments.context import PaymentContext
from workers.payments.subscriptions import changing
from workers.payments.subscriptions.changing import Shown

ME: Final = "/v1/me/subscription"
ACCOUNT: Final = "/v1/accounts/{account_id:uuid}/subscription"
PROBLEMS: Final = (404, 409, 422)

PlanName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
Wish: TypeAlias = Callable[[PaymentContext, UUID], Awaitable[None]]


class PlanChangeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another plan, at what it costs where the subscription was bought."""

    plan: PlanName
    at_once: bool = False
    """Whether a new period begins now, and is paid for in full; otherwise the next one is of the new plan."""


class PortalRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway's pages lead back to."""

    return_url: ReturnUrl


class PortalAnswer(Struct, frozen=True, kw_only=True):
    """Where the customer sees invoices and changes means of payment."""

    url: str


class SubscriptionAnswer(Struct, frozen=True, kw_only=True):
    """A subscription as it is known now. What its gateway does not say is null."""

    gateway: str
    status: Literal["incomplete", "active", "past_due", "paused", "ended"]
    """`past_due`: a payment did not go through, and is tried again."""
    plan: str | None
    plan_version: int | None
    title: str | None
    """Of the plan, in the caller's language."""
    next_plan: str | None
    """The plan of the next period, where that is another one."""
    credits_per_period: str | None
    price: PriceAnswer | None
    period_begins_at: datetime | None
    period_ends_at: datetime | None
    ends_at_period_end: bool
    """Whether it was cancelled, and ends with the period that is paid for."""
    method: str | None
    """The means of payment, as its owner knows it, such as "Visa •• 4242"."""


@get(ME, opt={"roles": USERS, "problems": (404,)})
async def read_own(request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """Return the caller's subscription: the newest one that goes on, else the newest one."""
    return Answer(await _answer(request, own_account(request.principal)))


@post(f"{ME}/change", status_code=200, opt={"roles": USERS, "problems": (402, *PROBLEMS)})
async def change_own(data: JSONBody[PlanChangeRequest], request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """Move the caller's subscription to another plan."""
    return await _done(request, own_account(request.principal), _change(data))


@post(f"{ME}/cancel", status_code=200, opt={"roles": USERS, "problems": PROBLEMS})
async def cancel_own(request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """End the caller's subscription with the period that is paid for."""
    return await _done(request, own_account(request.principal), _cancel)


@post(f"{ME}/resume", status_code=200, opt={"roles": USERS, "problems": PROBLEMS})
async def resume_own(request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """Take a cancellation back that has not come into effect, or go on after a pause."""
    return await _done(request, own_account(request.principal), _resume)


@post(f"{ME}/portal", status_code=200, opt={"roles": USERS, "problems": PROBLEMS})
async def portal_own(data: JSONBody[PortalRequest], request: ApiRequest) -> Answer[PortalAnswer]:
    """Return where the gateway shows the caller invoices and means of payment; under another key, a page of its own."""
    return await _portal(request, own_account(request.principal), data)


@get(ACCOUNT, opt={"roles": READERS, "problems": (404,)})
async def read(account_id: FromPath[UUID], request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """Return an account's subscription: the newest one that goes on, else the newest one."""
    return Answer(await _answer(request, account_id))


@post(f"{ACCOUNT}/change", status_code=200, opt={"roles": MOVERS, "problems": (402, *PROBLEMS)})
async def change(
    account_id: FromPath[UUID], data: JSONBody[PlanChangeRequest], request: ApiRequest
) -> Answer[SubscriptionAnswer]:
    """Move an account's subscription to another plan."""
    return await _done(request, account_id, _change(data))


@post(f"{ACCOUNT}/cancel", status_code=200, opt={"roles": MOVERS, "problems": PROBLEMS})
async def cancel(account_id: FromPath[UUID], request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """End an account's subscription with the period that is paid for."""
    return await _done(request, account_id, _cancel)


@post(f"{ACCOUNT}/resume", status_code=200, opt={"roles": MOVERS, "problems": PROBLEMS})
async def resume(account_id: FromPath[UUID], request: ApiRequest) -> Answer[SubscriptionAnswer]:
    """Take a cancellation back that has not come into effect, or go on after a pause."""
    return await _done(request, account_id, _resume)


@post(f"{ACCOUNT}/portal", status_code=200, opt={"roles": MOVERS, "problems": PROBLEMS})
async def portal(
    account_id: FromPath[UUID], data: JSONBody[PortalRequest], request: ApiRequest
) -> Answer[PortalAnswer]:
    """Return where the gateway shows the account's owner invoices and means of payment."""
    return await _portal(request, account_id, data)


def _change(data: PlanChangeRequest) -> Wish:
    async def wish(context: PaymentContext, account_id: UUID) -> None:
        await changing.change_plan(context, account_id, data.plan, at_once=data.at_once, now_us=_now_us())

    return wish


async def _cancel(context: PaymentContext, account_id: UUID) -> None:
    await changing.cancel(context, account_id, now_us=_now_us())


async def _resume(context: PaymentContext, account_id: UUID) -> None:
    await changing.resume(context, account_id, now_us=_now_us())


async def _done(request: ApiRequest, account_id: UUID, wish: Wish) -> Answer[SubscriptionAnswer]:
    """Have it done once under the caller's key, and show what the subscription is then."""

    async def work(_: AsyncConnection[Any]) -> Answer[SubscriptionAnswer]:
        await wish(_context(request), account_id)
        return Answer(await _answer(request, account_id))

    return await once(request, work)


async def _portal(request: ApiRequest, account_id: UUID, data: PortalRequest) -> Answer[PortalAnswer]:
    async def work(_: AsyncConnection[Any]) -> Answer[PortalAnswer]:
        url = await changing.portal_url(_context(request), account_id, return_url=data.return_url)
        return Answer(PortalAnswer(url=url))

    # Whoever has the link sees the pages.
    return await once(request, work, is_secret=True)


async def _answer(request: ApiRequest, account_id: UUID) -> SubscriptionAnswer:
    shown = await changing.show(request.services.database, account_id)
    return subscription_answer(shown, wanted_language(request.scope["headers"]))


def subscription_answer(shown: Shown, language: str) -> SubscriptionAnswer:
    """Show a subscription to somebody who reads this language."""
    subscription, definition = shown.subscription, shown.definition
    plan, period, method = subscription.plan, subscription.period, subscription.method
    price = None if plan is None or definition is None else definition.prices.get(plan.region)
    return SubscriptionAnswer(
        gateway=subscription.gateway,
        status=subscription.status.name,
        plan=None if plan is None else plan.name,
        plan_version=None if plan is None else plan.version,
        title=None if definition is None else title_of(definition, language),
        next_plan=None if subscription.next_plan is None else subscription.next_plan[0],
        credits_per_period=None if definition is None else credits_of(definition.credits_microcredits),
        price=None if price is None else price_answer(price),
        period_begins_at=None if period is None else from_us(period.begins_us),
        period_ends_at=None if period is None else from_us(period.ends_us),
        ends_at_period_end=subscription.ends_at_period_end,
        method=None if method is None else method.label or None,
    )


def _context(request: ApiRequest) -> PaymentContext:
    services = request.services
    return PaymentContext(services.database, services.writer, services.gateways)


def _now_us() -> int:
    return time.time_ns() // 1_000
