"""Which webhooks are taken for Paddle's."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.fakes.paddle_webhooks import WEBHOOK_SECRET, Webhook, signature, signed
from tests.paddle_shop import Shop, purchase
from workers.payments.gateway import WebhookEvent, WebhookForged, WebhookMalformed, WebhookRefused, WebhookStale
from workers.payments.gateways.paddle.signatures import TOLERANCE_S, PaddleSignatures

NOW_S = 1_795_000_000.0
BODY = json.dumps(
    {"event_id": "evt_1", "event_type": "transaction.paid", "occurred_at": "x", "data": {"id": "txn_1"}}
).encode()


def verify(webhook: Webhook, *secrets: str, now_s: float = NOW_S) -> WebhookEvent:
    return PaddleSignatures(secrets or [WEBHOOK_SECRET]).verify(webhook.headers, webhook.body, now_s=now_s)


def with_signature(text: str, body: bytes = BODY) -> Webhook:
    return Webhook({"paddle-signature": text}, body)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        yield shop


def test_a_webhook_that_is_signed_with_the_secret_says_what_it_is() -> None:
    event = verify(signed(BODY, at_s=NOW_S))

    assert event == WebhookEvent(event_id="evt_1", kind="transaction.paid", object_id="txn_1")


async def test_a_webhook_that_paddle_sends_is_genuine(shop: Shop) -> None:
    transaction_id = await shop.start(purchase())

    for webhook in shop.paddle.pay(transaction_id):
        event = await shop.gateway.verify(webhook.headers, webhook.body, remote_address="", now_s=shop.now.timestamp())
        assert event.kind == webhook.kind
        assert event.object_id == webhook.data["id"]
        assert event.event_id.startswith("evt_")


def test_while_the_secret_is_rotated_either_one_of_either_side_will_do() -> None:
    both_sign = signed(BODY, at_s=NOW_S, secrets=("new", "old"))
    old_signs = signed(BODY, at_s=NOW_S, secrets=("old",))

    assert verify(both_sign, "old").event_id == "evt_1"
    assert verify(both_sign, "new").event_id == "evt_1"
    assert verify(old_signs, "new", " old ").event_id == "evt_1"
    with pytest.raises(WebhookForged):
        verify(old_signs, "new")


@pytest.mark.parametrize("secrets", [(), ("",), (" ", "")])
def test_without_a_secret_nothing_is_genuine_not_even_what_is_signed_with_nothing(secrets: tuple[str, ...]) -> None:
    webhook = signed(BODY, at_s=NOW_S, secrets=("",))

    with pytest.raises(WebhookForged):
        PaddleSignatures(secrets).verify(webhook.headers, webhook.body, now_s=NOW_S)


def test_another_body_or_another_time_under_a_signature_is_forged() -> None:
    good = signature(BODY, at_s=NOW_S)

    with pytest.raises(WebhookForged):
        verify(with_signature(good, BODY + b" "))
    with pytest.raises(WebhookForged):
        verify(with_signature(good.replace(f"ts={int(NOW_S)}", f"ts={int(NOW_S) + 1}")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ts=1795000000",
        "h1=" + "0" * 64,
        "ts=;h1=" + "0" * 64,
        "ts=١٧٩٥٠٠٠٠٠٠;h1=" + "0" * 64,
        "ts=-5;h1=" + "0" * 64,
        "ts=1795000000;ts=1795000000;h1=" + "0" * 64,
        "ts=1795000000;h1=\udcff",
        ";;;===",
        "t=1795000000,v1=" + "0" * 64,
    ],
)
def test_a_header_that_is_no_signature_of_paddles_is_forged(text: str) -> None:
    with pytest.raises(WebhookForged):
        verify(with_signature(text))


def test_a_webhook_of_another_gateway_is_forged() -> None:
    with pytest.raises(WebhookForged):
        verify(Webhook({"stripe-signature": "t=1,v1=2"}, BODY))


def test_parts_of_a_scheme_to_come_are_passed_over() -> None:
    assert verify(with_signature(signature(BODY, at_s=NOW_S) + ";h2=abc")).event_id == "evt_1"


def test_more_signatures_than_a_rotation_has_are_not_looked_at() -> None:
    late = f"ts={int(NOW_S)};" + "h1=0;" * 10 + signature(BODY, at_s=NOW_S).partition(";")[2]

    with pytest.raises(WebhookForged):
        verify(with_signature(late))


@pytest.mark.parametrize("direction", [1, -1])
def test_a_signature_is_good_for_as_long_as_the_tolerance_both_ways(direction: int) -> None:
    at_the_edge = signed(BODY, at_s=NOW_S + direction * TOLERANCE_S)
    beyond = signed(BODY, at_s=NOW_S + direction * (TOLERANCE_S + 1))

    assert verify(at_the_edge).event_id == "evt_1"
    with pytest.raises(WebhookStale):
        verify(beyond)


def test_a_stale_forgery_is_called_forged() -> None:
    with pytest.raises(WebhookForged):
        verify(signed(BODY, at_s=0, secrets=("another",)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event_id":"evt_1","event_type":"transaction.paid","data":{}}',
        b'{"event_id":"","event_type":"transaction.paid","data":{"id":"txn_1"}}',
        b'{"event_id":"e\\u0000","event_type":"transaction.paid","data":{"id":"txn_1"}}',
        b'{"event_id":"' + b"e" * 101 + b'","event_type":"transaction.paid","data":{"id":"txn_1"}}',
    ],
)
def test_a_genuine_webhook_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookMalformed):
        verify(signed(body, at_s=NOW_S))


def test_refusals_do_not_show_the_secret() -> None:
    with pytest.raises(WebhookRefused) as refused:
        verify(signed(BODY, at_s=NOW_S, secrets=("another",)))

    assert WEBHOOK_SECRET not in str(refused.value) + repr(PaddleSignatures([WEBHOOK_SECRET]))
