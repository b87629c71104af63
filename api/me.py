"""What callers may know about themselves, and users about their own account."""

from datetime import datetime
from uuid import UUID

from litestar import get
from msgspec import Struct

from api.accounts import BalanceAnswer, balance_answer
from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, Page, PageLimit, VersionCursor, after_version, page_of
from api.fields import credits_of, us_moment
from api.ownership import own_account
from api.principal import EVERYONE, USERS, Role
from api.requests import ApiRequest
from api.services import Services
from ledger.events import Event
from ledger.reads import read_events
from ledger.rows import from_us


class MeAnswer(Struct, frozen=True, kw_only=True):
    """Who the caller is."""

    role: Role
    actor: str
    account_id: UUID | None


class StatementLine(Struct, frozen=True, kw_only=True):
    """One line of a statement: what happened, what it changed, and the balance after it."""

    version: int
    kind: str
    amount: str
    change: str
    available: str
    frozen: str
    reference: str
    reason: str
    recorded_at: datetime
    effective_at: datetime


@get("/v1/me", opt={"roles": EVERYONE})
async def me(request: ApiRequest) -> Answer[MeAnswer]:
    """Return who the caller is."""
    caller = request.principal
    return Answer(MeAnswer(role=caller.role, actor=caller.actor, account_id=caller.account_id))


@get("/v1/me/balance", opt={"roles": USERS})
async def balance(request: ApiRequest) -> Answer[BalanceAnswer]:
    """Return what the caller's account has now."""
    return Answer(await balance_answer(request.services, own_account(request.principal), at=None, seq=None))


@get("/v1/me/statement", opt={"roles": USERS})
async def statement(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: VersionCursor = None
) -> Answer[Page[StatementLine]]:
    """List what happened to the caller's account, in order, with the running balance."""
    return Answer(await statement_page(request.services, own_account(request.principal), limit=limit, cursor=cursor))


async def statement_page(
    services: Services, account_id: UUID, *, limit: int, cursor: str | None
) -> Page[StatementLine]:
    """Read a page of a statement.

    Raises:
        InvalidCursor: this list gave out no such cursor.
    """
    version = after_version(cursor)
    # One event before the page is read too: the difference to it is what the first line changed.
    before = max(version - 1, 0)
    async with services.database.connection() as connection:
        found = await read_events(connection, account_id, after_version=before, limit=limit + 1 + (version - before))
    available = 0
    lines: list[StatementLine] = []
    for event, _ in found:
        if event.version > version:
            lines.append(_line(event, available))
        available = event.available_after_microcredits
    return page_of(lines, limit=limit, cursor_of=lambda line: line.version)


def _line(event: Event, available_before: int) -> StatementLine:
    body = event.decoded_body()
    recorded_at = from_us(event.recorded_at_us)
    return StatementLine(
        version=event.version,
        kind=event.kind.name,
        amount=credits_of(event.amount_microcredits),
        change=credits_of(event.available_after_microcredits - available_before),
        available=credits_of(event.available_after_microcredits),
        frozen=credits_of(event.frozen_after_microcredits),
        reference=getattr(body, "reference", ""),
        reason=getattr(body, "reason", ""),
        recorded_at=recorded_at,
        effective_at=us_moment(body.effective_at_us) or recorded_at,
    )
