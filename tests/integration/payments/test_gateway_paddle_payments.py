"""Selling through Paddle, and what it then says about payments."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from tests.fakes.paddle_server import broken
from tests.fakes.scripted_server import Cut, no_answer
from tests.paddle_shop import ACCOUNT, TEN_DOLLARS, Shop, of_kind, purchase, us
from workers.payments.facts import PaymentFact, PaymentStatus
from workers.payments.gateway import Gateway, GatewayError, NotSupported
from workers.payments.gateways.paddle import FACTORY, LIVE_URL, SANDBOX_URL, home_of
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money
from workers.settings import SettingsError


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        yield shop


async def test_a_purchase_is_a_transaction_of_a_price_of_its_own(shop: Shop) -> None:
    wanted = purchase()

    started = await shop.gateway.start_purchase(wanted)

    sent = shop.paddle.calls[0]
    ours = {"order_id": str(wanted.order_id), "account_id": str(ACCOUNT)}
    assert (sent.method, sent.path, sent.headers["paddle-version"]) == ("POST", "/transactions", "1")
    transaction = shop.paddle.transactions[started.gateway_id]
    price = transaction["items"][0]["price"]
    assert transaction["custom_data"] == price["custom_data"] == ours
    assert price["unit_price"] == {"amount": "1000", "currency_code": "USD"}
    assert (price["tax_mode"], price["billing_cycle"]) == ("internal", None)
    assert sent.body["items"] == [
        {
            "quantity": 1,
            "price": {
                "name": "1,000 credits",
                "description": "1,000 credits",
                "product": {"name": "1,000 credits", "tax_category": "saas"},
                "unit_price": {"amount": "1000", "currency_code": "USD"},
                "tax_mode": "internal",
                "billing_cycle": None,
                "quantity": {"minimum": 1, "maximum": 1},
                "custom_data": ours,
            },
        }
    ]


async def test_the_customer_goes_to_the_payment_page_that_knows_the_way_back(shop: Shop) -> None:
    started = await shop.gateway.start_purchase(purchase())

    assert started.url.startswith("https://shop.example/pay?")
    assert parse_qs(urlsplit(started.url).query) == {
        "_ptxn": [started.gateway_id],
        "return_url": ["https://app.example/paid?x=1"],
        "locale": ["de"],
    }


@pytest.mark.parametrize(("months", "tax_inclusive"), [(1, True), (12, False)])
async def test_a_plan_recurs_and_keeps_its_key_with_the_price(shop: Shop, months: int, tax_inclusive: bool) -> None:
    transaction_id = await shop.start(purchase(months=months, price_key="pro:3:de", tax_inclusive=tax_inclusive))

    price = shop.paddle.transactions[transaction_id]["items"][0]["price"]
    assert price["billing_cycle"] == {"interval": "month", "frequency": months}
    assert price["custom_data"]["price_key"] == "pro:3:de"
    assert price["tax_mode"] == ("internal" if tax_inclusive else "external")


@pytest.mark.parametrize("price", [Money(1_500, "JPY"), Money(9_900, "HUF"), Money(1, "EUR")])
async def test_amounts_go_out_and_come_back_in_minor_units(shop: Shop, price: Money) -> None:
    transaction_id = await shop.start(purchase(price))

    fact = await shop.last(PaymentFact, *shop.paddle.pay(transaction_id))

    sent = shop.paddle.transactions[transaction_id]["items"][0]["price"]["unit_price"]
    assert sent == {"amount": str(price.minor), "currency_code": price.currency}
    assert fact.price == price


@pytest.mark.parametrize("currency", ["KWD", "XAF", "AED"])
async def test_a_currency_that_paddle_does_not_take_is_never_asked_for(shop: Shop, currency: str) -> None:
    with pytest.raises(NotSupported):
        await shop.gateway.start_purchase(purchase(Money(1_000, currency)))

    assert shop.paddle.calls == []


@pytest.mark.parametrize("title", ["", "x", "ä" * 1_000])
async def test_titles_that_paddle_would_refuse_are_made_to_fit(shop: Shop, title: str) -> None:
    assert await shop.start(purchase(title=title))


async def test_a_paid_pack_is_a_payment_of_its_order(shop: Shop) -> None:
    wanted = purchase()
    transaction_id = await shop.start(wanted)
    shop.later(minutes=3)
    paid_at = us(shop.now)

    webhooks = shop.paddle.pay(transaction_id)

    expected = PaymentFact(
        payment_id=transaction_id,
        order_id=wanted.order_id,
        account_id=ACCOUNT,
        price=TEN_DOLLARS,
        status=PaymentStatus.paid,
        at_us=paid_at,
        tax=Money(167, "USD"),
    )
    assert [webhook.kind for webhook in webhooks] == ["transaction.paid", "transaction.completed"]
    assert await shop.facts(of_kind("transaction.paid", webhooks)) == [expected]
    assert await shop.facts(of_kind("transaction.completed", webhooks)) == [expected]
    assert await shop.facts(*webhooks) == [expected, expected]


async def test_facts_of_payments_need_no_request(shop: Shop) -> None:
    transaction_id = await shop.start(purchase())
    webhooks = shop.paddle.pay(transaction_id)
    asked = len(shop.paddle.calls)

    await shop.facts(*webhooks)

    assert len(shop.paddle.calls) == asked


async def test_tax_that_comes_on_top_is_part_of_what_was_paid(shop: Shop) -> None:
    transaction_id = await shop.start(purchase(tax_inclusive=False))

    fact = await shop.last(PaymentFact, *shop.paddle.pay(transaction_id))

    assert (fact.price, fact.tax) == (Money(1_200, "USD"), Money(200, "USD"))


async def test_a_declined_payment_has_failed_and_may_still_be_paid(shop: Shop) -> None:
    transaction_id = await shop.start(purchase())

    failed = await shop.last(PaymentFact, *shop.paddle.fail(transaction_id, error_code="declined_not_retryable"))
    paid = await shop.last(PaymentFact, *shop.paddle.pay(transaction_id))

    assert (failed.status, failed.failure) == (PaymentStatus.failed, "declined_not_retryable")
    assert (paid.status, paid.failure) == (PaymentStatus.paid, "")


async def test_a_failure_that_is_told_after_the_payment_does_not_undo_it(shop: Shop) -> None:
    transaction_id = await shop.start(purchase())
    failure = of_kind("transaction.payment_failed", shop.paddle.fail(transaction_id))
    paid = of_kind("transaction.paid", shop.paddle.pay(transaction_id))

    facts = [fact for fact in await shop.facts(paid, failure) if isinstance(fact, PaymentFact)]

    assert max(fact.status for fact in facts) is PaymentStatus.paid


async def test_the_first_payment_of_a_plan_waits_for_its_subscription(shop: Shop) -> None:
    wanted = purchase(months=1)
    transaction_id = await shop.start(wanted)

    webhooks = shop.paddle.pay(transaction_id)

    assert await shop.facts(of_kind("transaction.paid", webhooks)) == []
    fact = await shop.last(PaymentFact, of_kind("transaction.completed", webhooks))
    subscription = next(iter(shop.paddle.subscriptions.values()))
    assert (fact.order_id, fact.subscription_id) == (wanted.order_id, subscription["id"])
    assert fact.period is not None
    assert fact.period.begins_us == us(shop.now)
    assert fact.saved_method is not None
    assert fact.saved_method.label == "Visa •• 4242"
    assert fact.saved_method.customer_id == subscription["customer_id"]


async def test_a_transaction_that_is_not_ours_names_no_order(shop: Shop) -> None:
    price = {"description": "By hand", "product_id": "pro_1", "unit_price": {"amount": "5", "currency_code": "USD"}}
    body = {"items": [{"price": price, "quantity": 1}], "custom_data": {"order_id": "nonsense"}}
    _, made = shop.paddle.change("POST", ["transactions"], body)

    fact = await shop.last(PaymentFact, *shop.paddle.pay(made["id"]))

    assert (fact.order_id, fact.account_id) == (None, None)


async def test_events_that_do_not_concern_us_say_nothing(shop: Shop) -> None:
    shop.paddle.events = None
    transaction_id = await shop.start(purchase())

    told = shop.paddle.fail(transaction_id)

    kinds = ["transaction.created", "customer.created", "transaction.updated", "transaction.ready"]
    assert [webhook.kind for webhook in told[:4]] == kinds
    assert await shop.facts(*told[:4]) == []


@pytest.mark.parametrize("data", ["{}", '{"id":"txn_1"}', "[]", "null"])
async def test_a_webhook_of_another_shape_is_an_error_and_is_not_tried_again(shop: Shop, data: str) -> None:
    body = f'{{"event_id":"e","event_type":"transaction.paid","data":{data}}}'.encode()

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.facts("transaction.paid", {}, body)

    assert not failed.value.retryable


@pytest.mark.parametrize("trouble", [broken(500), broken(503), no_answer(Cut())])
async def test_a_purchase_that_was_made_before_the_answer_broke_is_found_again(shop: Shop, trouble: object) -> None:
    wanted = purchase()
    await shop.start(purchase(order_id=uuid4()))
    shop.paddle.act_then(trouble)  # pyright: ignore[reportArgumentType] - of the cases above

    started = await shop.gateway.start_purchase(wanted)

    assert shop.paddle.transactions[started.gateway_id]["custom_data"]["order_id"] == str(wanted.order_id)
    assert len(shop.paddle.transactions) == 2


async def test_a_purchase_that_may_or_may_not_have_been_made_is_ambiguous(shop: Shop) -> None:
    shop.paddle.script(broken(502))

    with pytest.raises(GatewayError) as failed:
        await shop.gateway.start_purchase(purchase())

    assert (failed.value.retryable, failed.value.ambiguous) == (True, True)


async def test_two_transactions_for_one_order_are_two_payments_that_name_it(shop: Shop) -> None:
    wanted = purchase()
    first, second = await shop.start(wanted), await shop.start(wanted)

    facts = [await shop.last(PaymentFact, *shop.paddle.pay(each)) for each in (first, second)]

    assert {fact.order_id for fact in facts} == {wanted.order_id}
    assert len({fact.payment_id for fact in facts}) == 2


async def test_without_a_default_payment_link_nothing_can_be_sold(shop: Shop) -> None:
    shop.paddle.checkout_url = None

    with pytest.raises(GatewayError, match="transaction_default_checkout_url_not_set") as failed:
        await shop.gateway.start_purchase(purchase())

    assert not failed.value.retryable


async def test_the_environment_makes_the_gateway(shop: Shop) -> None:
    gateways = Gateways(shop.paddle.environment)

    gateway: Gateway = gateways.get("paddle")
    started = await gateway.start_purchase(purchase())
    await gateways.aclose()

    assert gateways.configured == ("paddle",)
    assert (gateway.name, gateway.renewed_by) == ("paddle", "gateway")
    assert started.gateway_id in shop.paddle.transactions


def test_a_key_of_the_sandbox_leads_to_the_sandbox() -> None:
    assert home_of("pdl_sdbx_apikey_1") == SANDBOX_URL
    assert home_of("pdl_live_apikey_1") == home_of("0123456789abcdef") == LIVE_URL


@pytest.mark.parametrize(
    "wrong", [{"PADDLE_BASE_URL": "ftp://x"}, {"PADDLE_TAX_CATEGORY": "books"}, {"PADDLE_API_KEY": "a\nb"}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        FACTORY.make({"PADDLE_API_KEY": "pdl_live_1", **wrong})


def test_without_its_key_it_is_not_configured() -> None:
    assert FACTORY.missing({"PADDLE_API_KEY": " "}) == ("PADDLE_API_KEY",)
