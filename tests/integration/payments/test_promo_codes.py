"""Promo codes: so many times in all, once for each account, until their time is over; and nobody guesses them."""

import asyncio
import unicodedata
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.database import Database
from ledger.rows import from_us
from ledger.writer import LedgerWriter
from tests.api_in_process import Api
from tests.builders import open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, NOW_US
from workers.payments.errors import (
    InvalidPromoCode,
    PaymentError,
    PromoCodeExists,
    PromoCodeExpired,
    PromoCodeNotFound,
    PromoCodeRedeemed,
    PromoCodeUsedUp,
    TooManyPromoCodes,
)
from workers.payments.promo_codes import (
    DAY_US,
    HOUR_US,
    TRIES_PER_HOUR,
    NewPromoCode,
    Redemption,
    create_code,
    disable_code,
    redeem_code,
)


class Shop:
    """Redeems codes for accounts, at a time."""

    def __init__(self, database: Database, *writers: LedgerWriter) -> None:
        self.database = database
        self.writers = writers
        self.now_us = NOW_US

    async def give(self, code: str = "WELCOME", *, max_uses: int = 1_000, **fields: object) -> None:
        new = NewPromoCode(code=code, credits_microcredits=5 * CREDIT, max_uses=max_uses, **fields)  # type: ignore[arg-type]
        await create_code(self.database, new, created_by="test")

    async def accounts(self, count: int) -> list[UUID]:
        ids = [uuid4() for _ in range(count)]
        await asyncio.gather(*(self.writers[0].submit(open_account(account_id)) for account_id in ids))
        return ids

    async def redeem(
        self, account_id: UUID, code: str = "WELCOME", *, key: str | None = None, writer: int = 0
    ) -> Redemption:
        return await redeem_code(
            self.database, self.writers[writer], account_id, code, now_us=self.now_us, idempotency_key=key
        )

    async def answer(self, account_id: UUID, code: str = "WELCOME", *, writer: int = 0) -> str:
        """What comes of it, as a word."""
        try:
            await self.redeem(account_id, code, writer=writer)
        except PaymentError as error:
            return error.code
        return "redeemed"


@pytest.fixture
async def shop(database: Database, writer: LedgerWriter, database_url: str) -> Shop:
    return Shop(database, writer)


def uses_of(url: str, code: str = "WELCOME") -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT uses FROM promo_codes WHERE code = %s", [code]).fetchone()
    assert row is not None
    return row[0]


async def test_a_hundred_accounts_at_once_redeem_a_code_no_more_often_than_it_may_be(
    database: Database, writer: LedgerWriter, database_url: str
) -> None:
    async with LedgerWriter(database_url) as other:
        shop = Shop(database, writer, other)
        await shop.give(max_uses=37)
        accounts = await shop.accounts(100)

        answers = await asyncio.gather(
            *(shop.answer(account_id, writer=place % 2) for place, account_id in enumerate(accounts))
        )

    assert Counter(answers) == {"redeemed": 37, "promo_code_used_up": 63}
    assert uses_of(database_url) == 37
    assert sum(account.credited for account in check_everything(database_url)) == 37 * 5 * CREDIT


async def test_accounts_that_redeem_several_codes_at_once_get_each_of_them_once(
    database: Database, writer: LedgerWriter, database_url: str
) -> None:
    async with LedgerWriter(database_url) as other:
        shop = Shop(database, writer, other)
        codes = ["ALPHA", "BETA", "GAMMA"]
        for code in codes:
            await shop.give(code, max_uses=10)
        accounts = await shop.accounts(10)
        asked = [(account_id, code) for account_id in accounts for code in codes for _ in range(2)]

        answers = await asyncio.gather(
            *(shop.answer(account_id, code, writer=place % 2) for place, (account_id, code) in enumerate(asked))
        )

    assert Counter(answers) == {"redeemed": 30, "promo_code_redeemed": 30}
    assert [uses_of(database_url, code) for code in codes] == [10, 10, 10]
    assert {account.credited for account in check_everything(database_url)} == {15 * CREDIT}


async def test_one_account_that_redeems_a_code_many_times_at_once_gets_it_once(shop: Shop, database_url: str) -> None:
    await shop.give(credits_expire_after_days=30)
    (account_id,) = await shop.accounts(1)

    answers = await asyncio.gather(*(shop.answer(account_id) for _ in range(TRIES_PER_HOUR)))

    assert Counter(answers) == {"redeemed": 1, "promo_code_redeemed": TRIES_PER_HOUR - 1}
    assert uses_of(database_url) == 1
    (account,) = check_everything(database_url)
    assert account.credited == 5 * CREDIT


async def test_a_code_is_the_same_in_small_letters_and_in_wide_ones(shop: Shop) -> None:
    await shop.give("Été-2026")
    accounts = await shop.accounts(4)
    written = [
        "été-2026",
        " ÉTÉ-2026 ",
        unicodedata.normalize("NFD", "été-2026"),
        "\u00c9\uff34\u00c9-\uff12\uff10\uff12\uff16",
    ]

    answers = [await shop.answer(account_id, code) for account_id, code in zip(accounts, written, strict=True)]

    assert answers == ["redeemed"] * 4


async def test_the_credits_of_a_code_expire_so_many_days_after_it_was_redeemed(shop: Shop) -> None:
    await shop.give(credits_expire_after_days=30)
    (account_id,) = await shop.accounts(1)

    redeemed = await shop.redeem(account_id)

    assert redeemed.credits_microcredits == 5 * CREDIT
    assert redeemed.expires_at == from_us(NOW_US + 30 * DAY_US)


async def test_the_same_request_again_is_answered_as_it_was_and_another_one_is_told_that_it_is_late(shop: Shop) -> None:
    await shop.give(credits_expire_after_days=30)
    (account_id,) = await shop.accounts(1)
    first = await shop.redeem(account_id, key="one")

    shop.now_us += HOUR_US
    again = await shop.redeem(account_id, key="one")

    assert (again.credits_microcredits, again.expires_at) == (first.credits_microcredits, first.expires_at)
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(PromoCodeRedeemed):
        await shop.redeem(account_id, key="two")


async def test_a_code_can_be_redeemed_up_to_the_moment_at_which_it_expires(shop: Shop) -> None:
    await shop.give(expires_at=from_us(NOW_US) + timedelta(hours=1))
    early, late = await shop.accounts(2)

    shop.now_us = NOW_US + HOUR_US - 1
    await shop.redeem(early)

    shop.now_us = NOW_US + HOUR_US
    with pytest.raises(PromoCodeExpired):
        await shop.redeem(late)


async def test_a_disabled_code_brings_nothing_any_more_and_cannot_be_made_again(shop: Shop, database: Database) -> None:
    await shop.give()
    (account_id,) = await shop.accounts(1)

    await disable_code(database, "welcome")
    await disable_code(database, "welcome")

    with pytest.raises(PromoCodeNotFound):
        await shop.redeem(account_id)
    with pytest.raises(PromoCodeExists):
        await shop.give("welcome")


@pytest.mark.parametrize("code", ["ab", "a b c", "a" * 65, "100%", "a\nb", "ﷺ" * 60])
async def test_what_nobody_can_type_is_no_code(shop: Shop, code: str) -> None:
    with pytest.raises(InvalidPromoCode):
        await shop.give(code)


async def test_whoever_tries_too_many_codes_that_bring_nothing_waits_until_the_hour_is_over(shop: Shop) -> None:
    await shop.give()
    await shop.give("GONE", max_uses=1)
    (guesser, other) = await shop.accounts(2)
    await shop.redeem(other, "GONE")
    guesses = ["nothing", "GONE", "?!", *("X" * (3 + number) for number in range(20))]

    answers = Counter(await asyncio.gather(*(shop.answer(guesser, guess) for guess in guesses)))

    assert answers["too_many_promo_codes"] == len(guesses) - TRIES_PER_HOUR
    shop.now_us += 10 * 60 * 1_000_000
    with pytest.raises(TooManyPromoCodes) as refused:
        await shop.redeem(guesser)
    assert refused.value.retry_after_s == 50 * 60
    assert await shop.answer(other) == "redeemed"
    shop.now_us = NOW_US + HOUR_US
    assert await shop.answer(guesser) == "redeemed"


async def test_what_brings_something_or_did_so_before_is_no_guess(shop: Shop) -> None:
    codes = [f"CODE-{number}" for number in range(TRIES_PER_HOUR + 2)]
    for code in codes:
        await shop.give(code)
    (account_id,) = await shop.accounts(1)

    answers = [await shop.answer(account_id, code) for code in codes for _ in range(2)]

    assert answers == ["redeemed", "promo_code_redeemed"] * len(codes)


async def test_a_used_up_code_says_so(shop: Shop) -> None:
    await shop.give(max_uses=1)
    first, second = await shop.accounts(2)
    await shop.redeem(first)

    with pytest.raises(PromoCodeUsedUp):
        await shop.redeem(second)


async def test_codes_are_given_away_and_redeemed_over_http(api: Api) -> None:
    body = {"code": "spring-26", "credits": "12.5", "max_uses": 2, "credits_expire_after_days": 7}
    made = await api.post("/v1/promo-codes", body)
    assert made.status_code == 201, made.text
    assert (made.json()["code"], made.json()["credits"], made.json()["uses"]) == ("SPRING-26", "12.5", 0)
    headers, account_id = await api.user()

    redeemed = await api.post("/v1/me/promo-codes", {"code": "Spring-26"}, key="mine", headers=headers)
    again = await api.post("/v1/me/promo-codes", {"code": "Spring-26"}, key="mine", headers=headers)
    late = await api.post("/v1/me/promo-codes", {"code": "Spring-26"}, headers=headers)

    assert redeemed.status_code == 201
    assert redeemed.json()["credits"] == "12.5"
    assert redeemed.json()["expires_at"] is not None
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, redeemed.json(), "true")
    assert (late.status_code, late.json()["code"]) == (409, "promo_code_redeemed")
    assert (await api.get(f"/v1/accounts/{account_id}/balance")).json()["available"] == "112.5"
    (listed,) = (await api.get("/v1/promo-codes")).json()["items"]
    assert (listed["code"], listed["uses"], listed["disabled_at"]) == ("SPRING-26", 1, None)


async def test_codes_are_refused_over_http_with_codes_that_stay(api: Api) -> None:
    await api.post(
        "/v1/promo-codes", {"code": "OVER", "credits": "1", "max_uses": 1, "expires_at": "2020-01-01T00:00:00Z"}
    )
    await api.post("/v1/promo-codes", {"code": "GONE", "credits": "1", "max_uses": 1})
    headers, _ = await api.user()

    async def refusal(code: str) -> tuple[int, str]:
        answer = await api.post("/v1/me/promo-codes", {"code": code}, headers=headers)
        return answer.status_code, answer.json()["code"]

    assert await refusal("nothing") == (404, "promo_code_not_found")
    assert await refusal("over") == (409, "promo_code_expired")
    assert (await api.client.delete("/v1/promo-codes/gone")).status_code == 204
    assert await refusal("gone") == (404, "promo_code_not_found")
    again = await api.post("/v1/promo-codes", {"code": "Over", "credits": "1", "max_uses": 1})
    assert (again.status_code, again.json()["code"]) == (409, "promo_code_exists")
    for _ in range(TRIES_PER_HOUR - 3):
        await refusal("nothing")
    limited = await api.post("/v1/me/promo-codes", {"code": "nothing"}, headers=headers)
    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_promo_codes")
    assert 3_500 < int(limited.headers["retry-after"]) <= 3_600


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1969-12-31T23:59:59Z"])
async def test_a_code_expires_at_a_time_that_can_be_kept(api: Api, moment: str) -> None:
    body = {"code": "NEVER", "credits": "1", "max_uses": 1, "expires_at": moment}

    refused = await api.post("/v1/promo-codes", body)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_promo_code")
    assert (await api.get("/v1/promo-codes")).json()["items"] == []


async def test_only_administrators_give_codes_away(api: Api) -> None:
    body = {"code": "MINE", "credits": "1", "max_uses": 1}
    headers, _ = await api.user()

    assert (await api.post("/v1/promo-codes", body, headers=headers)).status_code == 403
    assert (await api.post("/v1/promo-codes", body, headers=await api.role("service"))).status_code == 403
    assert (await api.get("/v1/promo-codes", headers=headers)).status_code == 403
    assert (await api.client.delete("/v1/promo-codes/mine")).status_code == 404
