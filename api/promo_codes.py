"""Promo codes: what administrators give away, and what users redeem."""

import time
from datetime import datetime
from typing import Annotated, Any, TypeAlias

from litestar import delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct
from psycopg import AsyncConnection

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, Page, PageLimit, TextCursor, after_text, text_cursor
from api.fields import NO_NUL, Credits, Moment, credits_of
from api.idempotency import once
from api.ownership import own_account
from api.principal import ADMINS, AUDITORS, USERS
from api.requests import ApiRequest
from ledger.amounts import parse_credits
from workers.payments.promo_codes import (
    MAX_CHARACTERS,
    MAX_DAYS,
    MAX_USES,
    NewPromoCode,
    PromoCode,
    Redemption,
    create_code,
    disable_code,
    list_codes,
    redeem_code,
)

CodeText: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CHARACTERS,
        pattern=NO_NUL,
        description="Letters, digits, hyphens and underscores; small and capital letters are the same.",
        extra_json_schema={"examples": ["WELCOME-50"]},
    ),
]
CodeInPath: TypeAlias = Annotated[str, PathParameter(min_length=1, max_length=MAX_CHARACTERS)]


class PromoCodeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code to give away."""

    code: CodeText
    credits: Credits
    """What each account gets for it."""
    max_uses: Annotated[int, Meta(ge=1, le=MAX_USES)]
    """How many accounts can redeem it."""
    expires_at: Moment | None = None
    """Until when it can be redeemed; null: for ever."""
    credits_expire_after_days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] | None = None
    """How long the credits can be spent; null: for ever."""


class PromoCodeAnswer(Struct, frozen=True, kw_only=True):
    """A code as it is now."""

    code: str
    credits: str
    max_uses: int
    uses: int
    expires_at: datetime | None
    credits_expire_after_days: int | None
    disabled_at: datetime | None
    created_at: datetime
    created_by: str


class RedemptionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code to redeem."""

    code: CodeText


class RedemptionAnswer(Struct, frozen=True, kw_only=True):
    """What a code brought, and until when it can be spent."""

    credits: str
    expires_at: datetime | None


@post("/v1/promo-codes", status_code=201, opt={"roles": ADMINS, "problems": (409,)})
async def create(data: JSONBody[PromoCodeRequest], request: ApiRequest) -> Answer[PromoCodeAnswer]:
    """Add a code. What it brings, and how often, never changes; it can be disabled."""
    new = NewPromoCode(
        code=data.code,
        credits_microcredits=parse_credits(data.credits),
        max_uses=data.max_uses,
        expires_at=data.expires_at,
        credits_expire_after_days=data.credits_expire_after_days,
    )

    async def work(_: AsyncConnection[Any]) -> Answer[PromoCodeAnswer]:
        made = await create_code(request.services.database, new, created_by=request.principal.actor)
        return Answer(promo_code_answer(made), status=201)

    return await once(request, work)


@get("/v1/promo-codes", opt={"roles": AUDITORS})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: TextCursor = None
) -> Answer[Page[PromoCodeAnswer]]:
    """List the codes, in their alphabetical order, and how often each was redeemed."""
    found = await list_codes(request.services.database, after=after_text(cursor), limit=limit + 1)
    shown = [promo_code_answer(code) for code in found[:limit]]
    return Answer(Page(shown, text_cursor([code.code for code in found], limit=limit)))


@delete("/v1/promo-codes/{code:str}", opt={"roles": ADMINS, "problems": (404,)})
async def disable(code: CodeInPath, request: ApiRequest) -> None:
    """Let nobody redeem a code any more. Doing so again changes nothing."""
    await disable_code(request.services.database, code)


@post("/v1/me/promo-codes", status_code=201, opt={"roles": USERS, "problems": (404, 409, 429)})
async def redeem(data: JSONBody[RedemptionRequest], request: ApiRequest) -> Answer[RedemptionAnswer]:
    """Give the caller what a code brings, once."""

    async def work(_: AsyncConnection[Any]) -> Answer[RedemptionAnswer]:
        redeemed = await redeem_code(
            request.services.database,
            request.services.writer,
            own_account(request.principal),
            data.code,
            now_us=time.time_ns() // 1_000,
            actor=request.principal.actor,
            idempotency_key=request.idempotency_key,
        )
        return Answer(redemption_answer(redeemed), status=201, replayed=redeemed.replayed)

    return await once(request, work)


def promo_code_answer(code: PromoCode) -> PromoCodeAnswer:
    """Show a code."""
    return PromoCodeAnswer(
        code=code.code,
        credits=credits_of(code.credits_microcredits),
        max_uses=code.max_uses,
        uses=code.uses,
        expires_at=code.expires_at,
        credits_expire_after_days=code.credits_expire_after_days,
        disabled_at=code.disabled_at,
        created_at=code.created_at,
        created_by=code.created_by,
    )


def redemption_answer(redeemed: Redemption) -> RedemptionAnswer:
    """Show what a code brought."""
    return RedemptionAnswer(credits=credits_of(redeemed.credits_microcredits), expires_at=redeemed.expires_at)
