"""Checkouts: where a customer goes to pay, and how the order stands. A return URL is never told what was paid."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.answers import Answer
from api.errors import InvalidRequest
from api.fields import END, credits_of
from api.languages import wanted_language
from api.ownership import acting_account, visible_account
from api.principal import EVERYONE, RUNNERS
from api.requests import ApiRequest
from api.shop_views import PriceAnswer
from workers.payments.catalogue.given import Country, Currency
from workers.payments.checkout import CheckoutWish, get_checkout, start_checkout
from workers.payments.orders import Order

MAX_URL_CHARACTERS: Final = 2_000

_HOST: Final = r"([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_RETURN_URL: Final = rf"^https?://{_HOST}(:[0-9]{{1,5}})?([/?#][!-\[\]-~]*)?"

ProductName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
ReturnUrl: TypeAlias = Annotated[
    str,
    Meta(
        max_length=MAX_URL_CHARACTERS,
        pattern=_RETURN_URL + END,
        description="http or https, in ASCII, with neither a user name nor a password.",
    ),
]


class CheckoutRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to buy: a pack or a plan. What it costs and brings is the catalogue's to say."""

    pack: ProductName | None = None
    plan: ProductName | None = None
    gateway: Annotated[str, Meta(min_length=1, max_length=20)]
    currency: Currency
    country: Country | None = None
    """Where the customer is; decides between price lists in one currency."""
    return_url: ReturnUrl
    """Where the gateway sends the customer afterwards, whatever came of it."""
    save_method: bool = False
    """Whether the gateway is to keep the means of payment, for automatic top-ups. Plans keep it where they need it."""
    account_id: UUID | None = None
    """On whose behalf; only users may leave it out."""

    def product(self) -> tuple[str, bool]:
        """Return the name of what to buy, and whether it is a plan.

        Raises:
            InvalidRequest: it is neither or both.
        """
        if self.pack is not None and self.plan is None:
            return self.pack, False
        if self.plan is not None and self.pack is None:
            return self.plan, True
        raise InvalidRequest("either pack or plan says what to buy")


class CheckoutStartedAnswer(Struct, frozen=True, kw_only=True):
    """Where the customer goes to pay."""

    id: UUID
    url: str


class CheckoutAnswer(Struct, frozen=True, kw_only=True):
    """An order as it is now. It is `paid` once the gateway has said so, and then the credits are there."""

    id: UUID
    account_id: UUID
    state: Literal["made", "started", "paid", "given_up"]
    """Whether it is written down, is with its gateway, is paid for, or never got to its gateway."""
    gateway: str
    purpose: Literal["pack", "plan", "renewal", "auto_top_up"]
    product: str
    product_version: int
    region: str
    price: PriceAnswer
    credits: str
    url: str | None
    """Where the customer goes to pay; null where there is no such page, or nothing to pay any more."""
    created_at: datetime
    paid_at: datetime | None


@post("/v1/checkouts", status_code=201, opt={"roles": RUNNERS, "problems": (404, 409)})
async def create(data: JSONBody[CheckoutRequest], request: ApiRequest) -> Answer[CheckoutStartedAnswer]:
    """Order a pack or a plan and start paying for it; under the same key, the same order and the same page."""
    product, is_plan = data.product()
    wish = CheckoutWish(
        account_id=acting_account(request.principal, data.account_id),
        product=product,
        is_plan=is_plan,
        gateway=data.gateway,
        currency=data.currency,
        country=data.country,
        return_url=data.return_url,
        save_method=data.save_method,
        language=wanted_language(request.scope["headers"]),
        idempotency_key=request.idempotency_key,
    )
    started = await start_checkout(request.services.database, request.services.gateways, wish)
    return Answer(CheckoutStartedAnswer(id=started.id, url=started.url), status=201, replayed=started.replayed)


@get("/v1/checkouts/{checkout_id:uuid}", opt={"roles": EVERYONE})
async def read(checkout_id: FromPath[UUID], request: ApiRequest) -> Answer[CheckoutAnswer]:
    """Return how an order stands: what a page that a customer comes back to can ask, and show."""
    scope = visible_account(request.principal, None)
    return Answer(checkout_answer(await get_checkout(request.services.database, checkout_id, account_id=scope)))


def checkout_answer(found: Order) -> CheckoutAnswer:
    """Show an order."""
    return CheckoutAnswer(
        id=found.id,
        account_id=found.account_id,
        state=found.state.name,
        gateway=found.gateway,
        purpose=found.purpose,
        product=found.product,
        product_version=found.product_version,
        region=found.region,
        price=PriceAnswer(amount=found.price.text, currency=found.price.currency, tax_inclusive=found.tax_inclusive),
        credits=credits_of(found.credits_microcredits),
        url=found.url if found.state.name == "started" else None,
        created_at=found.created_at,
        paid_at=found.paid_at,
    )
