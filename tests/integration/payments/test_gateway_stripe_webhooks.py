"""Which webhooks are taken for Stripe's."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from stripe import WebhookSignature

from tests.fakes.stripe_books import SIGN, WEBHOOK_SECRET
from tests.fakes.stripe_shop import StripeShop, purchase, stripe_shop
from workers.payments.gateway import WebhookEvent, WebhookForged, WebhookMalformed, WebhookRefused, WebhookStale
from workers.payments.gateways.stripe.gateway import StripeGateway
from workers.payments.gateways.stripe.settings import StripeSettings
from workers.settings import SettingsError

NOW = 1_790_000_000
EVENT: dict[str, Any] = {"id": "evt_1", "object": "event", "type": "refund.created", "data": {"object": {"id": "re_1"}}}


@pytest.fixture
async def shop() -> AsyncGenerator[StripeShop]:
    async with stripe_shop() as made:
        yield made


async def verified(
    body: bytes | None = None,
    header: str | None = None,
    *,
    secrets: tuple[str, ...] = (WEBHOOK_SECRET,),
    signed_at: int = NOW,
    headers: dict[str, str] | None = None,
) -> WebhookEvent:
    """What the gateway makes of a webhook that is right but for what is given."""
    given = json.dumps(EVENT).encode() if body is None else body
    if header is None:
        header = SIGN(given.decode("utf-8", "replace"), WEBHOOK_SECRET, signed_at)
    gateway = StripeGateway(StripeSettings(api_key="sk_test_fake", webhook_secrets=secrets))
    try:
        return await gateway.verify(
            {"stripe-signature": header} if headers is None else headers, given, remote_address="::1", now_s=NOW
        )
    finally:
        await gateway.aclose()


async def test_a_genuine_webhook_is_named_and_says_what_it_is_about() -> None:
    assert await verified() == WebhookEvent(event_id="evt_1", kind="refund.created", object_id="re_1")


async def test_what_the_fake_sends_is_genuine(shop: StripeShop) -> None:
    webhooks = shop.stripe.pay(await shop.open(purchase()))

    for webhook in webhooks:
        WebhookSignature.verify_header(  # pyright: ignore[reportUnknownMemberType] - its types are partly missing
            webhook.body, webhook.headers["stripe-signature"], WEBHOOK_SECRET, 300
        )
        event = await shop.gateway.verify(
            webhook.headers, webhook.body, remote_address="203.0.113.1", now_s=time.time()
        )
        assert (event.event_id, event.kind) == (webhook.event_id, webhook.kind)


async def test_both_secrets_are_good_while_one_replaces_the_other() -> None:
    assert await verified(secrets=("whsec_new", WEBHOOK_SECRET))
    assert await verified(secrets=(WEBHOOK_SECRET, "whsec_new"))


async def test_one_signature_of_several_is_enough() -> None:
    good = SIGN(json.dumps(EVENT), WEBHOOK_SECRET, NOW)
    bad = "0" * 64

    assert await verified(header=f"{good},v1={bad}")
    assert await verified(header=good.replace(",v1=", f",v1={bad},v1="))


@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_other",), ("", "whsec_other")])
async def test_without_the_right_secret_nothing_is_genuine(secrets: tuple[str, ...]) -> None:
    with pytest.raises(WebhookForged):
        await verified(secrets=secrets)


async def test_a_signature_with_an_empty_secret_is_worth_nothing() -> None:
    header = SIGN(json.dumps(EVENT), "", NOW)

    for secrets in ((), ("",), (WEBHOOK_SECRET,)):
        with pytest.raises(WebhookForged):
            await verified(header=header, secrets=secrets)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v1=é",
        f"t={NOW},v1={'0' * 64}",
        f"t=-{NOW},v1={'0' * 64}",
        f"t=now,v1={'0' * 64}",
        f"v1={'0' * 64}",
        "," * 5000,
        f"t={NOW},v1=" + "0" * 5000,
        "ts=1790000000;h1=" + "0" * 64,
    ],
)
async def test_a_header_that_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(WebhookForged):
        await verified(header=header)


async def test_a_signature_of_another_scheme_is_worth_nothing() -> None:
    with pytest.raises(WebhookForged):
        await verified(header=SIGN(json.dumps(EVENT), WEBHOOK_SECRET, NOW).replace("v1=", "v0="))


async def test_a_second_time_in_the_header_is_refused() -> None:
    header = SIGN(json.dumps(EVENT), WEBHOOK_SECRET, NOW - 1000)

    for doubled in (f"t={NOW},{header}", f"{header},t={NOW}"):
        with pytest.raises(WebhookForged):
            await verified(header=doubled)


async def test_a_body_that_was_changed_is_refused() -> None:
    header = SIGN(json.dumps(EVENT), WEBHOOK_SECRET, NOW)

    with pytest.raises(WebhookForged):
        await verified(json.dumps(EVENT).replace("re_1", "re_2").encode(), header)


@pytest.mark.parametrize("signed_at", [NOW - 300, NOW - 299, NOW, NOW + 299, NOW + 300])
async def test_a_webhook_of_just_now_is_taken(signed_at: int) -> None:
    assert await verified(signed_at=signed_at)


@pytest.mark.parametrize("signed_at", [0, NOW - 86_400, NOW - 301, NOW + 301, NOW + 86_400])
async def test_a_webhook_that_is_too_old_or_of_the_future_is_refused(signed_at: int) -> None:
    with pytest.raises(WebhookStale):
        await verified(signed_at=signed_at)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"event"',
        b'{"id": "evt_1", "object": "v2.core.event", "type": "x", "data": {"object": {}}}',
        b'{"id": "", "object": "event", "type": "x", "data": {"object": {}}}',
        b'{"id": 7, "object": "event", "type": "x", "data": {"object": {}}}',
        b'{"id": "evt_1", "object": "event", "type": "", "data": {"object": {}}}',
        b'{"event_id": "ntf_1", "event_type": "transaction.completed", "data": {"id": "txn_1"}}',
        b'{"type": "notification", "event": "payment.succeeded", "object": {"id": "22e"}}',
        b'{"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "4"}}',
        b'{"id": "' + b"e" * 256 + b'", "object": "event", "type": "x", "data": {"object": {}}}',
    ],
)
async def test_what_is_signed_and_no_event_of_stripes_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookMalformed):
        await verified(body)


async def test_a_body_that_is_no_text_is_refused() -> None:
    with pytest.raises(WebhookRefused):
        await verified(b"\xff\xfe\x00", SIGN("{}", WEBHOOK_SECRET, NOW))


async def test_a_webhook_of_another_gateway_is_refused() -> None:
    with pytest.raises(WebhookForged):
        await verified(headers={"paddle-signature": "ts=1790000000;h1=00"})


async def test_an_event_about_something_without_an_id_is_taken() -> None:
    body = json.dumps({**EVENT, "type": "balance.available", "data": {"object": {"object": "balance"}}}).encode()

    assert (await verified(body)).object_id == ""


async def test_an_event_that_is_not_about_payments_says_nothing(shop: StripeShop) -> None:
    assert await shop.gateway.facts("balance.available", {}, json.dumps(EVENT).encode()) == []


def test_secrets_are_read_from_a_list() -> None:
    environment = {"STRIPE_API_KEY": "sk_test_fake", "STRIPE_WEBHOOK_SECRET": " whsec_a ,, whsec_b,"}

    assert StripeSettings.from_environment(environment).webhook_secrets == ("whsec_a", "whsec_b")


@pytest.mark.parametrize(
    "wrong",
    [
        {"STRIPE_API_KEY": "pk_live_1"},
        {"STRIPE_API_KEY": "whsec_1"},
        {"STRIPE_API_KEY": "sk_live 1"},
        {"STRIPE_BASE_URL": "api.stripe.com"},
        {"STRIPE_AUTOMATIC_TAX": "perhaps"},
        {"STRIPE_WEBHOOK_SECRET": ",".join("abcdefghi")},
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused_without_being_shown(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        StripeSettings.from_environment({"STRIPE_API_KEY": "sk_live_secret", **wrong})

    assert "sk_live" not in str(refused.value).replace("sk_live_...", "")


def test_settings_do_not_show_their_secrets() -> None:
    settings = StripeSettings(api_key="sk_live_secret", webhook_secrets=("whsec_secret",))

    assert "secret" not in repr(settings)
