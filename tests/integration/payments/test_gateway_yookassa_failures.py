"""What is said of calls to YooKassa that fail: whether to try again, and whether money may have moved all the same."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.fakes.scripted_server import Answer, Cut, Hang, Hold, json_answer, no_answer
from tests.fakes.yookassa_objects import error, internal_error, too_many_requests
from tests.fakes.yookassa_server import SECRET_KEY, FakeYooKassa
from tests.fakes.yookassa_shop import notification
from tests.yookassa_calls import (
    HASTY,
    ONCE,
    QUICK,
    a_charge,
    a_payment,
    a_purchase,
    a_saved_method,
    basic,
    gateway_of,
    payment_told,
    rubles,
    told,
)
from workers.payments.facts import PaymentStatus
from workers.payments.gateway import Declined, GatewayError
from workers.payments.gateways.yookassa.gateway import YooKassa
from workers.payments.gateways.yookassa.http import ASKING, MAKING, Patience
from workers.payments.gateways.yookassa.settings import YooKassaSettings
from workers.payments.processing import PROCESS_TIMEOUT_S

UNKNOWN_OUTCOMES = {
    "5xx": internal_error(),
    "a proxy's 502": Answer(502, {"content-type": "text/html"}, (b"<html>Bad gateway</html>",)),
    "202": json_answer(202, {"type": "processing", "description": "Request accepted", "retry_after": 1800}),
    "a connection that breaks": no_answer(Cut()),
    "an answer that breaks off": Answer(200, {}, (b'{"id": "2d8c',), ends_cleanly=False),
    "no answer": no_answer(Hang()),
    "an answer that never ends": Answer(200, {}, (b"{", Hold())),
    "nonsense": json_answer(200, {"id": 7}),
    "an unheard-of status": json_answer(200, {"id": "1", "status": "dreaming"}),
    "something deep": Answer(200, {}, (b"[" * 100_000,)),
}


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


@pytest.fixture
async def hasty(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server, HASTY)
    yield gateway
    await gateway.aclose()


@pytest.mark.parametrize("name", UNKNOWN_OUTCOMES)
async def test_a_purchase_that_acted_and_failed_may_be_done_and_is_found_under_its_key(
    hasty: YooKassa, gateway: YooKassa, server: FakeYooKassa, name: str
) -> None:
    purchase = a_purchase()
    server.acts_but(UNKNOWN_OUTCOMES[name])

    with pytest.raises(GatewayError) as failed:
        await hasty.start_purchase(purchase)

    assert (failed.value.retryable, failed.value.ambiguous) == (True, True)
    started = await gateway.start_purchase(purchase)
    assert list(server.payments) == [started.gateway_id]


@pytest.mark.parametrize("name", UNKNOWN_OUTCOMES)
async def test_a_question_that_failed_has_changed_nothing(
    hasty: YooKassa, gateway: YooKassa, server: FakeYooKassa, name: str
) -> None:
    payment_id = server.add_payment()
    sent = notification("payment.succeeded", server.payments[payment_id])
    server.script(UNKNOWN_OUTCOMES[name])

    with pytest.raises(GatewayError) as failed:
        await told(hasty, [sent])

    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)
    assert (await payment_told(gateway, [sent])).status is PaymentStatus.paid


async def test_a_charge_that_acted_and_failed_is_not_made_twice(gateway: YooKassa, server: FakeYooKassa) -> None:
    charge = a_charge(await a_saved_method(gateway, server))
    server.acts_but(internal_error(), no_answer(Cut()))

    fact = await gateway.charge_saved(charge)

    assert fact.status is PaymentStatus.paid
    assert len(server.payments) == 2
    assert len({call.headers["idempotence-key"] for call in server.created[1:]}) == 1
    assert len(server.created) == 4


async def test_a_refund_that_acted_and_failed_is_not_made_twice(gateway: YooKassa, server: FakeYooKassa) -> None:
    payment = await a_payment(gateway, server)
    server.acts_but(internal_error(), internal_error())

    await gateway.refund(payment.payment_id, rubles("90.00"), key="k", reason="")

    assert len(server.refunds) == 1


async def test_a_decline_after_a_failure_is_a_decline(gateway: YooKassa, server: FakeYooKassa) -> None:
    method = await a_saved_method(gateway, server)
    server.decline_method(method.method_id)
    server.acts_but(internal_error())

    with pytest.raises(Declined, match="insufficient_funds"):
        await gateway.charge_saved(a_charge(method))


async def test_it_is_tried_a_few_times_and_then_given_up(gateway: YooKassa, server: FakeYooKassa) -> None:
    server.script(*[internal_error() for _ in range(10)])

    with pytest.raises(GatewayError, match="status 500 internal_server_error"):
        await gateway.start_purchase(a_purchase())

    assert len(server.calls) == QUICK.tries


async def test_what_may_have_been_done_stays_so_whatever_the_last_try_said(
    gateway: YooKassa, server: FakeYooKassa
) -> None:
    server.script(internal_error(), error(403, "forbidden", "Recurring payments are off for this shop"))

    with pytest.raises(GatewayError, match="403 forbidden Recurring payments are off") as failed:
        await gateway.start_purchase(a_purchase())

    assert (failed.value.retryable, failed.value.ambiguous) == (False, True)


async def test_too_many_requests_were_not_carried_out(server: FakeYooKassa) -> None:
    gateway = gateway_of(server, ONCE)
    server.script(too_many_requests())

    with pytest.raises(GatewayError, match="429") as failed:
        await gateway.start_purchase(a_purchase())

    await gateway.aclose()
    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)


async def test_who_is_told_to_wait_does_not_ask_sooner(gateway: YooKassa, server: FakeYooKassa) -> None:
    server.script(too_many_requests(retry_after="1"))
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    await gateway.start_purchase(a_purchase())

    assert loop.time() - began_s >= 1
    assert len(server.calls) == 2


async def test_who_is_told_to_wait_for_long_gives_up_at_once(gateway: YooKassa, server: FakeYooKassa) -> None:
    server.script(too_many_requests(retry_after="3600"))

    with pytest.raises(GatewayError, match="429"):
        await gateway.start_purchase(a_purchase())

    assert len(server.calls) == 1


async def test_a_refused_connection_has_changed_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        settings = YooKassaSettings(
            shop_id="1", secret_key="k", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v3"
        )
        gateway = YooKassa(settings, making=QUICK)
        with pytest.raises(GatewayError, match="ConnectError") as failed:
            await gateway.start_purchase(a_purchase())
        await gateway.aclose()

    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)


async def test_a_wrong_key_may_be_right_later(gateway: YooKassa, server: FakeYooKassa) -> None:
    server.secret_key = "test_the_new_one"

    with pytest.raises(GatewayError, match="401 invalid_credentials") as failed:
        await gateway.start_purchase(a_purchase())

    assert (failed.value.retryable, failed.value.ambiguous) == (True, False)
    assert len(server.calls) == 1, "not by asking again at once"
    renewed = gateway_of(server)
    await renewed.start_purchase(a_purchase())
    await renewed.aclose()


async def test_a_request_that_makes_no_sense_is_not_repeated(gateway: YooKassa, server: FakeYooKassa) -> None:
    with pytest.raises(
        GatewayError, match=r"400 invalid_request Incorrect return url \(confirmation.return_url\)"
    ) as failed:
        await gateway.start_purchase(a_purchase(return_url="javascript:alert(1)"))

    assert (failed.value.retryable, failed.value.ambiguous) == (False, False)
    assert len(server.calls) == 1


async def test_the_key_goes_nowhere_else(gateway: YooKassa, server: FakeYooKassa) -> None:
    async with FakeYooKassa() as elsewhere:
        server.script(Answer(307, {"location": f"{elsewhere.url}/v3/payments"}))

        with pytest.raises(GatewayError, match="307"):
            await gateway.start_purchase(a_purchase())

        assert not elsewhere.calls


async def test_an_answer_without_end_is_not_kept(gateway: YooKassa, server: FakeYooKassa) -> None:
    endless = Answer(200, {}, tuple(b" " * 65_536 for _ in range(100)))
    server.script(endless, endless, endless)

    with pytest.raises(GatewayError, match="no end"):
        await gateway.start_purchase(a_purchase())


async def test_secrets_are_in_no_message(hasty: YooKassa, server: FakeYooKassa) -> None:
    settings = YooKassaSettings.from_environment(server.environment())
    said = [repr(settings), str(settings), repr(hasty), repr(vars(hasty))]
    for answer in (internal_error(), no_answer(Cut()), no_answer(Hang()), json_answer(200, []), Answer(405)):
        server.script(answer)
        with pytest.raises(GatewayError) as failed:
            await hasty.start_purchase(a_purchase())
        said += [str(failed.value), repr(failed.value), repr(failed.value.__cause__)]

    credentials = basic(server.shop_id, SECRET_KEY)
    assert server.calls[0].headers["authorization"] == credentials
    assert all(SECRET_KEY not in words and credentials.split()[1] not in words for words in said)


def test_a_webhook_is_asked_about_within_the_time_that_it_has() -> None:
    assert ASKING.total_s < PROCESS_TIMEOUT_S
    for patience in (ASKING, MAKING):
        assert isinstance(patience, Patience)
        assert patience.connect_s <= patience.answer_s < patience.total_s
