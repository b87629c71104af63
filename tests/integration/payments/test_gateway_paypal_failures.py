"""What happens when PayPal, or the way to it, fails: nothing is done twice, and the errors say what may be repeated."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.paypal_objects import error, internal_error, too_many_requests
from tests.fakes.paypal_server import CLIENT_SECRET, FakePayPal
from tests.fakes.scripted_server import Answer, Cut, Hang, json_answer, no_answer
from tests.paypal import HASTY_S, bought, paypal_at, purchase, taken_in
from workers.payments.facts import PaymentFact, PaymentStatus
from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.gateways.paypal.gateway import PayPal, from_environment
from workers.payments.money import Money


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def gateway(server: FakePayPal) -> AsyncIterator[PayPal]:
    async with paypal_at(server) as gateway:
        yield gateway


@pytest.fixture
async def hasty(server: FakePayPal) -> AsyncIterator[PayPal]:
    """Waits for no answer long."""
    async with paypal_at(server, answer_s=HASTY_S) as gateway:
        yield gateway


LOST = [
    internal_error(),
    error(503, "SERVICE_UNAVAILABLE"),
    no_answer(Hang()),
    no_answer(Cut()),
    Answer(201, {"content-type": "application/json"}, (b'{"id": "5O1',), ends_cleanly=False),
    Answer(201, {"content-type": "application/json"}, (b"<html>",)),
]


@pytest.mark.parametrize("answer", LOST)
async def test_an_order_whose_answer_is_lost_is_made_once(server: FakePayPal, hasty: PayPal, answer: Answer) -> None:
    made = purchase()
    server.acts_but(answer)
    with pytest.raises(GatewayError) as failed:
        await hasty.start_purchase(made)
    assert (failed.value.retryable, failed.value.ambiguous) == (True, True)
    started = await hasty.start_purchase(made)
    assert list(server.orders) == [started.gateway_id]


@pytest.mark.parametrize("answer", LOST)
async def test_a_capture_whose_answer_is_lost_is_made_once(server: FakePayPal, hasty: PayPal, answer: Answer) -> None:
    await hasty.start_purchase(purchase())
    approved = server.approve()
    server.acts_but(answer)
    with pytest.raises(GatewayError) as failed:
        await taken_in(hasty, server, approved)
    assert failed.value.retryable
    (fact,) = await taken_in(hasty, server, approved)
    assert isinstance(fact, PaymentFact)
    assert fact.status is PaymentStatus.paid
    assert list(server.captures) == [fact.payment_id]


@pytest.mark.parametrize("answer", LOST)
async def test_a_refund_whose_answer_is_lost_is_made_once(server: FakePayPal, hasty: PayPal, answer: Answer) -> None:
    _, capture_id = await bought(hasty, server)
    server.acts_but(answer)
    with pytest.raises(GatewayError) as failed:
        await hasty.refund(capture_id, Money(250, "USD"), key="key", reason="")
    assert failed.value.ambiguous
    refund = await hasty.refund(capture_id, Money(250, "USD"), key="key", reason="")
    assert list(server.refunds) == [refund.refund_id]


async def test_one_approval_five_times_at_once_is_one_capture(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    approved = server.approve()
    said = await asyncio.gather(*(taken_in(gateway, server, approved) for _ in range(5)))
    assert len(server.captures) == 1
    assert all(facts == said[0] for facts in said)


@pytest.mark.parametrize(
    ("answer", "retryable", "ambiguous"),
    [
        (too_many_requests(), True, False),
        (error(409, "RESOURCE_CONFLICT", "PREVIOUS_REQUEST_IN_PROGRESS"), True, True),
        (error(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX"), False, False),
        (error(403, "NOT_AUTHORIZED", "PERMISSION_DENIED"), False, False),
        (error(422, "UNPROCESSABLE_ENTITY", "CURRENCY_NOT_SUPPORTED"), False, False),
        (json_answer(502, ["not an error"]), True, True),
        (Answer(302, {"location": "http://127.0.0.1:1/"}), False, False),
    ],
)
async def test_an_error_says_what_may_be_repeated(
    server: FakePayPal, gateway: PayPal, answer: Answer, retryable: bool, ambiguous: bool
) -> None:
    server.script(answer)
    with pytest.raises(GatewayError) as failed:
        await gateway.start_purchase(purchase())
    assert (failed.value.retryable, failed.value.ambiguous) == (retryable, ambiguous)
    assert str(answer.status) in str(failed.value)


async def test_an_error_names_the_issue_and_the_debug_id(server: FakePayPal, gateway: PayPal) -> None:
    server.script(error(422, "UNPROCESSABLE_ENTITY", "CURRENCY_NOT_SUPPORTED"))
    with pytest.raises(GatewayError, match=r"UNPROCESSABLE_ENTITY CURRENCY_NOT_SUPPORTED \(debug id 90957fca61718\)"):
        await gateway.start_purchase(purchase())


@pytest.mark.parametrize("answer", [error(403, "NOT_AUTHORIZED"), error(400, "INVALID_REQUEST")])
async def test_a_capture_that_we_may_not_ask_for_is_an_error(
    server: FakePayPal, gateway: PayPal, answer: Answer
) -> None:
    await gateway.start_purchase(purchase())
    server.script(answer)
    with pytest.raises(GatewayError):
        await taken_in(gateway, server, server.approve())


async def test_an_approval_that_has_not_got_everywhere_yet_is_captured_later(
    server: FakePayPal, gateway: PayPal
) -> None:
    await gateway.start_purchase(purchase())
    approved = server.approve()
    server.script(error(422, "UNPROCESSABLE_ENTITY", "ORDER_NOT_APPROVED"))
    with pytest.raises(GatewayError, match="ORDER_NOT_APPROVED") as failed:
        await taken_in(gateway, server, approved)
    assert failed.value.retryable
    assert len(await taken_in(gateway, server, approved)) == 1


@pytest.mark.parametrize(
    "issue", ["PAYEE_ACCOUNT_RESTRICTED", "TRANSACTION_RECEIVING_LIMIT_EXCEEDED", "NEVER_HEARD_OF"]
)
async def test_a_capture_that_is_refused_for_no_fault_of_the_customers_is_for_somebody_to_see(
    server: FakePayPal, gateway: PayPal, issue: str
) -> None:
    await gateway.start_purchase(purchase())
    server.capture_status = issue
    with pytest.raises(GatewayError, match=issue) as failed:
        await taken_in(gateway, server, server.approve())
    assert not failed.value.retryable


async def test_reading_fails_without_doubt(server: FakePayPal, hasty: PayPal) -> None:
    _, capture_id = await bought(hasty, server)
    refunded = server.refund(capture_id)
    for answer in (internal_error(), no_answer(Cut()), no_answer(Hang())):
        server.script(answer)
        with pytest.raises(GatewayError) as failed:
            await taken_in(hasty, server, refunded)
        assert (failed.value.retryable, failed.value.ambiguous) == (True, False)


async def test_a_paypal_that_is_away_was_never_asked(server: FakePayPal) -> None:
    async with FakePayPal() as away:
        url = away.url
    gateway = from_environment(server.environment(PAYPAL_BASE_URL=url))
    with pytest.raises(GatewayError) as failed:
        await gateway.start_purchase(purchase())
    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)
    await gateway.aclose()


async def test_many_at_once_fetch_one_token(server: FakePayPal, gateway: PayPal) -> None:
    await asyncio.gather(*(gateway.start_purchase(purchase()) for _ in range(20)))
    assert len(server.token_calls) == 1
    assert len(server.orders) == 20


async def test_a_token_that_ended_early_is_fetched_again_once(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    server.expire_tokens()
    await asyncio.gather(*(gateway.start_purchase(purchase()) for _ in range(10)))
    assert len(server.orders) == 11
    assert len(server.token_calls) == 2


async def test_a_token_is_not_used_up_to_its_very_end(server: FakePayPal, gateway: PayPal) -> None:
    server.token_lives_s = 59
    for _ in range(2):
        await gateway.start_purchase(purchase())
    assert len(server.token_calls) == 2


async def test_a_token_that_is_never_good_is_not_fetched_for_ever(server: FakePayPal, gateway: PayPal) -> None:
    server.script(error(401, "AUTHENTICATION_FAILURE"), error(401, "AUTHENTICATION_FAILURE"))
    with pytest.raises(GatewayError, match="401") as failed:
        await gateway.start_purchase(purchase())
    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)
    assert len(server.token_calls) == 2


async def test_wrong_keys_say_so_and_never_show_the_secret(server: FakePayPal) -> None:
    async with paypal_at(server, client_secret=f"wrong-{CLIENT_SECRET}") as gateway:
        with pytest.raises(GatewayError, match="invalid_client") as failed:
            await gateway.start_purchase(purchase())
    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)
    assert CLIENT_SECRET not in str(failed.value)


async def test_an_object_that_is_not_there_is_unknown(server: FakePayPal, gateway: PayPal) -> None:
    with pytest.raises(UnknownObject, match="INVALID_RESOURCE_ID"):
        await gateway.refund("2GG279541U471931P", Money(1, "USD"), key="key", reason="")
    assert server.refunds == {}


async def test_an_answer_without_end_is_broken_off(server: FakePayPal, gateway: PayPal) -> None:
    server.acts_but(Answer(201, {"content-type": "application/json"}, (b" " * (1 << 20),) * 9))
    with pytest.raises(GatewayError) as failed:
        await gateway.start_purchase(purchase())
    assert failed.value.ambiguous


async def test_a_payment_without_a_time_is_an_error(server: FakePayPal, gateway: PayPal) -> None:
    await gateway.start_purchase(purchase())
    _, completed = server.pay()
    server.captures[server.latest_capture] |= {"create_time": "", "update_time": "soon"}
    with pytest.raises(GatewayError, match="has no time"):
        await taken_in(gateway, server, [completed])


@pytest.mark.parametrize("status", ["UNHEARD_OF", ""])
async def test_a_status_that_we_do_not_know_is_an_error(server: FakePayPal, gateway: PayPal, status: str) -> None:
    await gateway.start_purchase(purchase())
    _, completed = server.pay()
    server.captures[server.latest_capture]["status"] = status
    with pytest.raises(GatewayError, match="has the status"):
        await taken_in(gateway, server, [completed])
    refunds = server.refund(server.latest_capture)
    next(iter(server.refunds.values()))["status"] = status
    with pytest.raises(GatewayError, match="has the status"):
        await taken_in(gateway, server, refunds)
