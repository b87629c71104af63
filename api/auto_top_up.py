"""What an account buys by itself when its balance falls, and below which balance its owner is told."""

import time
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from litestar import delete, get, put
from litestar.params import JSONBody
from msgspec import Meta, Struct

from api.answers import Answer
from api.errors import InvalidRequest
from api.fields import END, Credits, credits_of
from api.ownership import own_account
from api.principal import USERS
from api.requests import ApiRequest
from ledger.amounts import parse_credits
from workers.payments.auto_top_up.wishes import (
    AutoTopUpWish,
    ShownAutoTopUp,
    disable_auto_top_up,
    set_auto_top_up,
    show_auto_top_up,
)
from workers.payments.catalogue.given import Country, Currency
from workers.payments.low_balance import LowBalance, forget_low_balance, read_low_balance, set_low_balance
from workers.payments.money import Money, NotMoney

AUTO_TOP_UP: Final = "/v1/me/auto-top-up"
LOW_BALANCE: Final = "/v1/me/low-balance"

Amount: TypeAlias = Annotated[
    str,
    Meta(
        max_length=20,
        pattern=rf"^[0-9]{{1,15}}(\.[0-9]{{1,4}})?{END}",
        description="A decimal with no more places than its currency has.",
        extra_json_schema={"pattern": r"^[0-9]{1,15}(\.[0-9]{1,4})?$", "examples": ["50.00"]},
    ),
]


class CapRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be charged in a calendar month of the account's time zone, before taxes that a gateway adds."""

    amount: Amount
    currency: Currency

    def money(self) -> Money:
        """Return the amount.

        Raises:
            InvalidRequest: it has more places than its currency, or is too much.
        """
        try:
            return Money.parse(self.amount, self.currency)
        except NotMoney as error:
            raise InvalidRequest(f"monthly_cap: {error}") from None


class AutoTopUpRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to buy below which balance: a pack, or whichever brings the balance up to a target."""

    threshold: Credits
    pack: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    target: Credits | None = None
    gateway: Annotated[str, Meta(min_length=1, max_length=20)]
    """It must keep a means of payment of the account: one that a pack was bought by with `save_method`."""
    monthly_cap: CapRequest
    """Its currency is the one that is paid in."""
    country: Country | None = None
    """Where the customer is; decides between price lists in one currency."""


class CapAnswer(Struct, frozen=True, kw_only=True):
    """An amount of money."""

    amount: str
    currency: str


class AutoTopUpAnswer(Struct, frozen=True, kw_only=True):
    """What is bought below which balance, and how that stands."""

    threshold: str
    pack: str | None
    target: str | None
    gateway: str
    method: str | None
    """The means of payment, as its owner knows it, such as "Visa •• 4242"."""
    region: str
    monthly_cap: CapAnswer
    charged_this_month: CapAnswer
    """What was charged, or may have been, in the calendar month that it is in the account's time zone."""
    state: Literal["active", "suspended"]
    """Suspended after several declined charges in a row, until somebody sets it again."""
    suspended_at: datetime | None
    declines: int
    """How many charges in a row were declined."""


class LowBalanceRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Below which balance the caller wants to be told."""

    threshold: Credits


class LowBalanceAnswer(Struct, frozen=True, kw_only=True):
    """Below which balance the caller is told, null for none, and when that was last."""

    threshold: str | None
    told_at: datetime | None


@get(AUTO_TOP_UP, opt={"roles": USERS, "problems": (404,)})
async def read_own(request: ApiRequest) -> Answer[AutoTopUpAnswer]:
    """Return what the caller's account buys by itself."""
    return await _auto_top_up(request)


@put(AUTO_TOP_UP, opt={"roles": USERS, "problems": (404, 409, 422)})
async def change_own(data: JSONBody[AutoTopUpRequest], request: ApiRequest) -> Answer[AutoTopUpAnswer]:
    """Say what the caller's account buys by itself. It is on from now, also where it was suspended."""
    wish = AutoTopUpWish(
        account_id=own_account(request.principal),
        threshold_microcredits=parse_credits(data.threshold),
        pack=data.pack,
        target_microcredits=None if data.target is None else parse_credits(data.target),
        gateway=data.gateway,
        monthly_cap=data.monthly_cap.money(),
        country=data.country,
    )
    await set_auto_top_up(request.services.database, request.services.gateways, wish, now_us=_now_us())
    return await _auto_top_up(request)


@delete(AUTO_TOP_UP, opt={"roles": USERS})
async def forget_own(request: ApiRequest) -> None:
    """Let the caller's account buy nothing by itself any more. A charge that is on its way may still go through."""
    await disable_auto_top_up(request.services.database, own_account(request.principal))


@get(LOW_BALANCE, opt={"roles": USERS})
async def read_low(request: ApiRequest) -> Answer[LowBalanceAnswer]:
    """Return below which balance the caller is told."""
    return await _low_balance(request)


@put(LOW_BALANCE, opt={"roles": USERS})
async def change_low(data: JSONBody[LowBalanceRequest], request: ApiRequest) -> Answer[LowBalanceAnswer]:
    """Say below which balance the caller is told: once, until it has risen again."""
    account_id, threshold = own_account(request.principal), parse_credits(data.threshold)
    await set_low_balance(request.services.database, account_id, threshold_microcredits=threshold)
    return await _low_balance(request)


@delete(LOW_BALANCE, opt={"roles": USERS})
async def forget_low(request: ApiRequest) -> None:
    """Tell the caller nothing of the balance any more."""
    await forget_low_balance(request.services.database, own_account(request.principal))


async def _auto_top_up(request: ApiRequest) -> Answer[AutoTopUpAnswer]:
    shown = await show_auto_top_up(request.services.database, own_account(request.principal), now_us=_now_us())
    return Answer(auto_top_up_answer(shown))


async def _low_balance(request: ApiRequest) -> Answer[LowBalanceAnswer]:
    return Answer(low_balance_answer(await read_low_balance(request.services.database, own_account(request.principal))))


def auto_top_up_answer(shown: ShownAutoTopUp) -> AutoTopUpAnswer:
    """Show an automatic top-up to the account's owner."""
    wish = shown.wish
    return AutoTopUpAnswer(
        threshold=credits_of(wish.threshold_microcredits),
        pack=wish.pack,
        target=None if wish.target_microcredits is None else credits_of(wish.target_microcredits),
        gateway=wish.gateway,
        method=None if wish.method is None else wish.method.label or None,
        region=wish.region,
        monthly_cap=cap_answer(wish.monthly_cap),
        charged_this_month=cap_answer(shown.charged_this_month),
        state="active" if wish.suspended_at is None else "suspended",
        suspended_at=wish.suspended_at,
        declines=wish.declines,
    )


def cap_answer(money: Money) -> CapAnswer:
    """Show an amount of money."""
    return CapAnswer(amount=money.text, currency=money.currency)


def low_balance_answer(found: LowBalance) -> LowBalanceAnswer:
    """Show below which balance somebody is told."""
    threshold = found.threshold_microcredits
    return LowBalanceAnswer(threshold=None if threshold is None else credits_of(threshold), told_at=found.told_at)


def _now_us() -> int:
    return time.time_ns() // 1_000
