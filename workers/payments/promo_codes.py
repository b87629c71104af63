"""Promo codes: credits for whoever knows a word, so many times in all, and once for each account.

A redemption is a grant under the code's own command key, so no account has it twice. The code's row is locked behind
the account's and counts with the grant. Where two accounts of one batch see the same last use, the row's constraint
breaks the batch, and each is decided alone.
"""

import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from msgspec import Struct

from ledger import statements
from ledger.batch import Rider
from ledger.commands import OWN_KEY_PREFIX, Grant
from ledger.database import Database
from ledger.errors import Contended, IdempotencyKeyReused, RiderRefused
from ledger.rows import from_us, to_us
from ledger.writer import LedgerWriter
from workers.payments.errors import (
    InvalidPromoCode,
    PromoCodeExists,
    PromoCodeExpired,
    PromoCodeNotFound,
    PromoCodeRedeemed,
    PromoCodeUsedUp,
    TooManyPromoCodes,
)

sql: Final = statements.load("workers.payments")

MIN_CHARACTERS: Final = 3
MAX_CHARACTERS: Final = 64
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
MAX_USES: Final = 2**31 - 1
MAX_DAYS: Final = 36_500

TRIES_PER_HOUR: Final = 10
"""How many codes that bring nothing an account may try within an hour."""

HOUR_US: Final = 3_600 * 1_000_000
DAY_US: Final = 24 * HOUR_US
ATTEMPTS: Final = 5
"""Where two batches lock codes in different orders, one of them has to begin again."""


class PromoCode(Struct, frozen=True, kw_only=True):
    """A code, as it is kept."""

    code: str
    credits_microcredits: int
    max_uses: int
    uses: int
    expires_at: datetime | None
    credits_expire_after_days: int | None
    disabled_at: datetime | None
    created_at: datetime
    created_by: str

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read the first columns of `promo_read_code.sql`."""
        return cls(
            code=row[0],
            credits_microcredits=row[1],
            max_uses=row[2],
            uses=row[3],
            expires_at=row[4],
            credits_expire_after_days=row[5],
            disabled_at=row[6],
            created_at=row[7],
            created_by=row[8],
        )


class NewPromoCode(Struct, frozen=True, kw_only=True):
    """A code that an administrator wants to give away."""

    code: str
    credits_microcredits: int
    max_uses: int
    expires_at: datetime | None = None
    credits_expire_after_days: int | None = None


class Redemption(Struct, frozen=True, kw_only=True):
    """What an account got for a code. With `replayed` it did so earlier, under the same idempotency key."""

    credits_microcredits: int
    expires_at: datetime | None
    replayed: bool = False


class _Known(Struct, frozen=True):
    code: PromoCode
    redemption: Redemption | None
    key_sha256: bytes | None


def normalised(text: str) -> str | None:
    """Return a code as it is compared: NFKC, in capitals; `None` for what cannot be a code."""
    typed = text.strip()
    if len(typed) > MAX_CHARACTERS:
        return None
    code = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).upper())
    is_code = MIN_CHARACTERS <= len(code) <= MAX_CHARACTERS and all(each.isalnum() or each in "-_" for each in code)
    return code if is_code else None


async def create_code(database: Database, new: NewPromoCode, *, created_by: str) -> PromoCode:
    """Add a code. What it brings, and how often, never changes.

    Raises:
        InvalidPromoCode: it could not be typed, or its time is out of all bounds.
        PromoCodeExists: there is one already, perhaps disabled.
    """
    code = normalised(new.code)
    if code is None:
        raise InvalidPromoCode(f"has {MIN_CHARACTERS} to {MAX_CHARACTERS} letters, digits, hyphens and underscores")
    if new.expires_at is not None and not EARLIEST <= new.expires_at <= LATEST:
        raise InvalidPromoCode("expires at a time between 1970 and 9000")
    parameters = {
        "code": code,
        "credits": new.credits_microcredits,
        "max_uses": new.max_uses,
        "expires_at": new.expires_at,
        "credits_expire_after_days": new.credits_expire_after_days,
        "created_by": created_by,
    }
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.PROMO_INSERT_CODE, parameters)).fetchone()
    if row is None:
        raise PromoCodeExists(code)
    return PromoCode.of_row(row)


async def list_codes(database: Database, *, after: str, limit: int) -> list[PromoCode]:
    """Return the codes that come after one, in their order."""
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.PROMO_LIST_CODES, {"after": after, "limit": limit})).fetchall()
    return [PromoCode.of_row(row) for row in rows]


async def disable_code(database: Database, text: str) -> None:
    """Let nobody redeem a code any more; what was redeemed stays.

    Raises:
        PromoCodeNotFound: there is no such code.
    """
    async with database.autocommit() as connection:
        cursor = await connection.execute(sql.PROMO_DISABLE_CODE, {"code": normalised(text) or ""})
        if await cursor.fetchone() is None:
            raise PromoCodeNotFound


async def redeem_code(
    database: Database,
    writer: LedgerWriter,
    account_id: UUID,
    text: str,
    *,
    now_us: int,
    actor: str = "",
    idempotency_key: str | None = None,
) -> Redemption:
    """Give an account what a code brings. Under the same idempotency key, what it brought then.

    Raises:
        PromoCodeNotFound: there is no such code, or none any more.
        PromoCodeExpired: its time is over.
        PromoCodeUsedUp: others were faster.
        PromoCodeRedeemed: this account has redeemed it.
        TooManyPromoCodes: this account has tried too many that brought nothing.
        Contended: the database could not take it now.
    """
    await _take_try(database, account_id, now_us=now_us)
    try:
        redeemed = await _redeem(database, writer, account_id, text, now_us=now_us, actor=actor, key=idempotency_key)
    except (PromoCodeNotFound, PromoCodeExpired, PromoCodeUsedUp):
        raise
    except Exception:
        await _give_try_back(database, account_id)
        raise
    await _give_try_back(database, account_id)
    return redeemed


async def _redeem(
    database: Database,
    writer: LedgerWriter,
    account_id: UUID,
    text: str,
    *,
    now_us: int,
    actor: str,
    key: str | None,
) -> Redemption:
    key_sha256 = None if key is None else hashlib.sha256(key.encode()).digest()
    for _ in range(ATTEMPTS):
        known = await _read(database, account_id, text)
        if known.redemption is not None:
            if key_sha256 is not None and key_sha256 == known.key_sha256:
                return known.redemption
            raise PromoCodeRedeemed
        _check(known.code, now_us=now_us)
        grant, rider = _grant(account_id, known.code, now_us=now_us, actor=actor, key_sha256=key_sha256)
        try:
            outcome = await writer.submit(grant, riders=(rider,))
        except (RiderRefused, IdempotencyKeyReused, Contended):
            # Somebody was faster, or is at it: the next look says who.
            continue
        if not outcome.replayed:
            return Redemption(
                credits_microcredits=grant.amount_microcredits,
                expires_at=None if grant.expires_at_us is None else from_us(grant.expires_at_us),
            )
    raise Contended("the code is in great demand")


async def _read(database: Database, account_id: UUID, text: str) -> _Known:
    code = normalised(text)
    row = None
    if code is not None:
        async with database.autocommit() as connection:
            parameters = {"code": code, "account_id": account_id}
            row = await (await connection.execute(sql.PROMO_READ_CODE, parameters)).fetchone()
    if row is None:
        raise PromoCodeNotFound
    redeemed = None if row[9] is None else Redemption(credits_microcredits=row[9], expires_at=row[10], replayed=True)
    return _Known(PromoCode.of_row(row), redeemed, row[11])


def _check(code: PromoCode, *, now_us: int) -> None:
    """Say why a code cannot be redeemed. What the guard finds counts; this only has the words for it."""
    if code.disabled_at is not None:
        raise PromoCodeNotFound
    if code.expires_at is not None and to_us(code.expires_at) <= now_us:
        raise PromoCodeExpired
    if code.uses >= code.max_uses:
        raise PromoCodeUsedUp


def _grant(
    account_id: UUID, code: PromoCode, *, now_us: int, actor: str, key_sha256: bytes | None
) -> tuple[Grant, Rider]:
    days = code.credits_expire_after_days
    expires_at_us = None if days is None else now_us + days * DAY_US
    grant = Grant(
        account_id=account_id,
        command_key=f"{OWN_KEY_PREFIX}promo:{code.code}",
        actor=actor,
        amount_microcredits=code.credits_microcredits,
        reason="promo code",
        expires_at_us=expires_at_us,
    )
    redemption: dict[str, object] = {
        "account_id": account_id,
        "code": code.code,
        "credits": code.credits_microcredits,
        "expires_at": None if expires_at_us is None else from_us(expires_at_us),
        "idempotency_sha256": key_sha256,
    }
    rider = Rider(
        guard=(sql.PROMO_GUARD_CODE, {"code": code.code, "now": from_us(now_us)}),
        writes=((sql.PROMO_COUNT_USE, {"code": code.code}), (sql.PROMO_INSERT_REDEMPTION, redemption)),
    )
    return grant, rider


async def _take_try(database: Database, account_id: UUID, *, now_us: int) -> None:
    """Count this one before anybody looks at it, so that many at once are no more than so many.

    Raises:
        TooManyPromoCodes: there is none left.
    """
    parameters = {
        "account_id": account_id,
        "now": from_us(now_us),
        "over_at": from_us(now_us) - timedelta(microseconds=HOUR_US),
        "limit": TRIES_PER_HOUR,
    }
    async with database.autocommit() as connection:
        if await (await connection.execute(sql.PROMO_TAKE_TRY, parameters)).fetchone() is not None:
            return
        row = await (await connection.execute(sql.PROMO_READ_TRIES, {"account_id": account_id})).fetchone()
    left_us = HOUR_US if row is None else to_us(row[0]) + HOUR_US - now_us
    raise TooManyPromoCodes(max(1, -(-left_us // 1_000_000)))


async def _give_try_back(database: Database, account_id: UUID) -> None:
    async with database.autocommit() as connection:
        await connection.execute(sql.PROMO_GIVE_TRY_BACK, {"account_id": account_id})
