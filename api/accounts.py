"""Accounts: opening them, and reading what they have, had, and how they came to it."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, Page, PageLimit, VersionCursor, after_version, page_of
from api.errors import AmbiguousPoint
from api.event_views import EventView, event_view
from api.fields import Name, credits_of, parse_moment, parse_place
from api.idempotency import once
from api.principal import MOVERS, READERS
from api.requests import ApiRequest
from api.services import Services
from ledger.accounts import open_account
from ledger.reads import AccountView, Balance, read_account, read_balance, read_events
from projections.as_of import read_balance_as_of


class AccountRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to open, one per owner: the caller's own id for its customer, not a name or an address."""

    owner: Name
    name: Name | None = None


class AccountAnswer(Struct, frozen=True, kw_only=True):
    """An account as it is now."""

    id: UUID
    owner: str
    name: str
    available: str
    frozen: str
    version: int
    created_at: datetime


class LotAnswer(Struct, frozen=True, kw_only=True):
    """Credits that came in together, and what is left of them."""

    id: UUID
    source: str
    remaining: str
    frozen: str
    priority: int
    expires_at: datetime | None


class BalanceAnswer(Struct, frozen=True, kw_only=True):
    """What an account has at one moment, and in which lots."""

    available: str
    frozen: str
    version: int
    as_of: datetime
    lots: list[LotAnswer]


SealedPlace = Annotated[
    str | None,
    QueryParameter(name="seq", max_length=19, schema_extra={"type": "integer", "minimum": 1, "maximum": 2**63 - 1}),
]
PointInTime = Annotated[str | None, QueryParameter(name="at", max_length=40, schema_extra={"format": "date-time"})]


@post("/v1/accounts", opt={"roles": MOVERS, "also": (200,), "problems": (409,)})
async def create(data: JSONBody[AccountRequest], request: ApiRequest) -> Answer[AccountAnswer]:
    """Open the owner's account: 201. An owner who has one gets it: 200."""
    return await once(request, lambda _: open_for_owner(data, request))


@get("/v1/accounts/{account_id:uuid}", opt={"roles": READERS})
async def read(account_id: FromPath[UUID], request: ApiRequest) -> Answer[AccountAnswer]:
    """Return an account as it is now."""
    return Answer(await account_answer(request.services, account_id))


@get("/v1/accounts/{account_id:uuid}/balance", opt={"roles": READERS, "problems": (422,)})
async def balance(
    account_id: FromPath[UUID], request: ApiRequest, at: PointInTime = None, seq: SealedPlace = None
) -> Answer[BalanceAnswer]:
    """Return what an account has now, had at a time, or had as of a place in the sealed order of all events."""
    return Answer(await balance_answer(request.services, account_id, at=at, seq=seq))


@get("/v1/accounts/{account_id:uuid}/events", opt={"roles": READERS})
async def events(
    account_id: FromPath[UUID], request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: VersionCursor = None
) -> Answer[Page[EventView]]:
    """List an account's events in version order."""
    return Answer(await events_page(request.services, account_id, limit=limit, cursor=cursor))


async def open_for_owner(data: AccountRequest, request: ApiRequest) -> Answer[AccountAnswer]:
    """Open the account and say whether it is new."""
    services = request.services
    account_id, is_new = await open_account(
        services.database, services.writer, owner=data.owner, name=data.name or "", actor=request.principal.actor
    )
    return Answer(await account_answer(services, account_id), status=201 if is_new else 200)


async def account_answer(services: Services, account_id: UUID) -> AccountAnswer:
    """Read an account and show it.

    Raises:
        AccountNotFound: there is none.
    """
    async with services.database.connection() as connection:
        account = await read_account(connection, account_id, now=datetime.now(UTC))
    return _account_answer(account)


async def balance_answer(services: Services, account_id: UUID, *, at: str | None, seq: str | None) -> BalanceAnswer:
    """Read a balance, now or as of a point, and show it.

    Raises:
        AccountNotFound: there is no such account, or there was none then.
        AmbiguousPoint: both `at` and `seq` are given.
        MalformedRequest: `at` is not a time, or `seq` not a number.
    """
    if at is not None and seq is not None:
        raise AmbiguousPoint
    moment = None if at is None else parse_moment(at)
    place = None if seq is None else parse_place(seq)
    now = datetime.now(UTC)
    async with services.database.connection() as connection:
        if moment is None and place is None:
            found = await read_balance(connection, account_id, now=now)
        else:
            found = await read_balance_as_of(connection, account_id, at=moment, seq=place, now=now)
    return _balance_answer(found)


async def events_page(services: Services, account_id: UUID, *, limit: int, cursor: str | None) -> Page[EventView]:
    """Read a page of an account's events.

    Raises:
        AccountNotFound: there is no such account.
        InvalidCursor: this list gave out no such cursor.
    """
    version = after_version(cursor)
    async with services.database.connection() as connection:
        await read_account(connection, account_id, now=datetime.now(UTC))
        found = await read_events(connection, account_id, after_version=version, limit=limit + 1)
    views = [event_view(event, seq=seq) for event, seq in found]
    return page_of(views, limit=limit, cursor_of=lambda view: view.version)


def _account_answer(account: AccountView) -> AccountAnswer:
    return AccountAnswer(
        id=account.id,
        owner=account.owner,
        name=account.name,
        available=credits_of(account.available),
        frozen=credits_of(account.frozen),
        version=account.version,
        created_at=account.created_at,
    )


def _balance_answer(found: Balance) -> BalanceAnswer:
    lots = [
        LotAnswer(
            id=lot.id,
            source=lot.source,
            remaining=credits_of(lot.remaining),
            frozen=credits_of(lot.frozen),
            priority=lot.priority,
            expires_at=lot.expires_at,
        )
        for lot in found.lots
    ]
    return BalanceAnswer(
        available=credits_of(found.available),
        frozen=credits_of(found.frozen),
        version=found.version,
        as_of=found.as_of,
        lots=lots,
    )
