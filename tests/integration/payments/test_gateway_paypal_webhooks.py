"""Which webhooks are PayPal's, and what a certificate's URL may make us do."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping

import pytest

from tests.fakes.paypal_books import WEBHOOK_ID
from tests.fakes.paypal_server import CERTIFICATES_PATH, CLIENT_ID, CLIENT_SECRET, FakePayPal
from tests.fakes.paypal_webhooks import Webhook, certificate, new_key, pem, signed
from tests.fakes.scripted_server import Answer, Call, Hang, ScriptedServer, no_answer
from tests.paypal import bought, paypal_at
from workers.payments.gateway import GatewayError, WebhookEvent, WebhookForged, WebhookMalformed, WebhookStale
from workers.payments.gateways.paypal import certificates
from workers.payments.gateways.paypal.certificates import MAX_FETCHES, CertificateHosts
from workers.payments.gateways.paypal.gateway import PayPal, from_environment
from workers.payments.gateways.paypal.signature import MAX_AHEAD_S, MAX_ID_CHARACTERS, STALE_AFTER_S
from workers.settings import SettingsError


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def gateway(server: FakePayPal) -> AsyncIterator[PayPal]:
    async with paypal_at(server) as gateway:
        yield gateway


def an_event(server: FakePayPal) -> Webhook:
    return server.event("PAYMENT.CAPTURE.COMPLETED", "capture", {"id": "2GG279541U471931P"})


async def verified(
    gateway: PayPal, webhook: Webhook, *, now_s: float, body: bytes | None = None, changed: Mapping[str, str] = {}
) -> WebhookEvent:
    headers = {**webhook.headers, **changed}
    sent = webhook.body if body is None else body
    return await gateway.verify(headers, sent, remote_address="192.0.2.1", now_s=now_s)


def certificate_calls(server: ScriptedServer) -> list[Call]:
    return [call for call in server.calls if call.path.startswith(CERTIFICATES_PATH)]


async def test_a_genuine_webhook_says_what_it_is(server: FakePayPal, gateway: PayPal) -> None:
    webhook = an_event(server)
    event = await verified(gateway, webhook, now_s=server.now_s)
    assert event == WebhookEvent(event_id=webhook.id, kind="PAYMENT.CAPTURE.COMPLETED", object_id="2GG279541U471931P")


async def test_a_dispute_is_named_by_its_own_id(server: FakePayPal, gateway: PayPal) -> None:
    await bought(gateway, server)
    (webhook,) = server.dispute()
    event = await verified(gateway, webhook, now_s=server.now_s)
    assert event.object_id == next(iter(server.disputes))


async def test_a_certificate_is_fetched_once_for_many_webhooks(server: FakePayPal, gateway: PayPal) -> None:
    webhooks = [an_event(server) for _ in range(20)]
    await asyncio.gather(*(verified(gateway, webhook, now_s=server.now_s) for webhook in webhooks))
    assert len(certificate_calls(server)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"paypal-transmission-id": "another"},
        {"paypal-transmission-sig": "bm90IGEgc2lnbmF0dXJl"},
        {"paypal-transmission-sig": "not base64"},
        {"paypal-transmission-sig": ""},
        {"paypal-auth-algo": "SHA1withRSA"},
        {"paypal-auth-algo": ""},
        {"paypal-transmission-time": ""},
        {"paypal-transmission-time": "yesterday"},
        {"paypal-transmission-time": "2026-11-21T05:00:00"},
        {"paypal-transmission-id": "é"},
        {"paypal-transmission-id": "x" * 2_000},
        {"paypal-cert-url": ""},
    ],
)
async def test_a_changed_header_is_forged(server: FakePayPal, gateway: PayPal, changed: dict[str, str]) -> None:
    with pytest.raises(WebhookForged):
        await verified(gateway, an_event(server), now_s=server.now_s, changed=changed)


async def test_a_changed_body_is_forged(server: FakePayPal, gateway: PayPal) -> None:
    webhook = an_event(server)
    with pytest.raises(WebhookForged):
        await verified(gateway, webhook, now_s=server.now_s, body=webhook.body + b" ")


async def test_a_webhook_for_another_webhook_id_is_forged(server: FakePayPal, gateway: PayPal) -> None:
    body = an_event(server).body
    headers = signed(body, webhook_id="7BS56736HU608525B", cert_url=server.cert_url, at_s=server.now_s)
    with pytest.raises(WebhookForged):
        await verified(gateway, Webhook(headers, body), now_s=server.now_s)


async def test_a_webhook_signed_with_another_key_is_forged(server: FakePayPal, gateway: PayPal) -> None:
    body = an_event(server).body
    headers = signed(body, webhook_id=WEBHOOK_ID, cert_url=server.cert_url, at_s=server.now_s, key=new_key(2_049))
    with pytest.raises(WebhookForged):
        await verified(gateway, Webhook(headers, body), now_s=server.now_s)


async def test_without_a_webhook_id_nothing_is_genuine_and_nothing_is_fetched(server: FakePayPal) -> None:
    for webhook_id in ("", " ", ","):
        gateway = from_environment(server.environment(PAYPAL_WEBHOOK_ID=webhook_id))
        body = an_event(server).body
        headers = signed(body, webhook_id=webhook_id, cert_url=server.cert_url, at_s=server.now_s)
        with pytest.raises(WebhookForged):
            await verified(gateway, Webhook(headers, body), now_s=server.now_s)
        await gateway.aclose()
    assert server.calls == []


async def test_while_webhooks_are_changed_both_ids_are_ours(server: FakePayPal) -> None:
    gateway = from_environment(server.environment(PAYPAL_WEBHOOK_ID=f"7BS56736HU608525B, {WEBHOOK_ID}"))
    webhook = an_event(server)
    assert (await verified(gateway, webhook, now_s=server.now_s)).event_id == webhook.id
    await gateway.aclose()


@pytest.mark.parametrize("later_s", [-MAX_AHEAD_S, 0, STALE_AFTER_S])
async def test_a_webhook_is_fresh_as_long_as_paypal_sends_it(
    server: FakePayPal, gateway: PayPal, later_s: float
) -> None:
    server.set_clock(int(server.now_s))
    webhook = an_event(server)
    assert (await verified(gateway, webhook, now_s=server.now_s + later_s)).event_id == webhook.id


@pytest.mark.parametrize("later_s", [-MAX_AHEAD_S - 1, STALE_AFTER_S + 1])
async def test_a_webhook_too_old_or_from_the_future_is_stale_and_fetches_nothing(
    server: FakePayPal, gateway: PayPal, later_s: float
) -> None:
    server.set_clock(int(server.now_s))
    with pytest.raises(WebhookStale):
        await verified(gateway, an_event(server), now_s=server.now_s + later_s)
    assert server.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"not JSON",
        b'{"id": "", "event_type": ""}',
        b"\xff" * 10,
        b'{"id": "WH-%b", "event_type": "CHECKOUT.ORDER.APPROVED"}' % (b"7" * MAX_ID_CHARACTERS),
        b'{"id": "WH-1", "event_type": "%b"}' % (b"A" * (MAX_ID_CHARACTERS + 1)),
        b'{"id": "WH-1", "event_type": "CHECKOUT\\u0000"}',
    ],
)
async def test_a_genuine_webhook_that_makes_no_sense_is_malformed(
    server: FakePayPal, gateway: PayPal, body: bytes
) -> None:
    headers = signed(body, webhook_id=WEBHOOK_ID, cert_url=server.cert_url, at_s=server.now_s)
    with pytest.raises(WebhookMalformed):
        await verified(gateway, Webhook(headers, body), now_s=server.now_s)


@pytest.mark.parametrize("resource", [None, [], "text", {"id": 5}, {}])
async def test_events_may_be_about_anything(server: FakePayPal, gateway: PayPal, resource: object) -> None:
    body = json.dumps({"id": "WH-1", "event_type": "BILLING.PLAN.CREATED", "resource": resource}).encode()
    headers = signed(body, webhook_id=WEBHOOK_ID, cert_url=server.cert_url, at_s=server.now_s)
    event = await verified(gateway, Webhook(headers, body), now_s=server.now_s)
    assert (event.event_id, event.object_id) == ("WH-1", "")
    assert await gateway.facts(event.kind, headers, body) == []


async def test_a_body_with_the_same_checksum_is_verified_but_believed_in_nothing(
    server: FakePayPal, gateway: PayPal
) -> None:
    _, capture_id = await bought(gateway, server)
    genuine = server.event("PAYMENT.CAPTURE.COMPLETED", "capture", server.captures[capture_id])
    forged = with_checksum(genuine.body.replace(b"10.50", b"99.50") + b" ", zlib.crc32(genuine.body))
    assert zlib.crc32(forged) == zlib.crc32(genuine.body)
    event = await verified(gateway, genuine, now_s=server.now_s, body=forged)
    facts = await gateway.facts(event.kind, genuine.headers, forged)
    assert facts == await gateway.facts(event.kind, genuine.headers, genuine.body)


def with_checksum(body: bytes, checksum: int) -> bytes:
    """The same JSON with spaces and tabs after it such that its CRC-32 is this one."""
    # A CRC is linear: which of 64 characters to change is a system of equations over bits.
    padded = body + b" " * 64
    rows: list[tuple[int, int]] = []
    for at in range(64):
        changed = bytearray(padded)
        changed[len(body) + at] = ord("\t")
        effect, chosen = zlib.crc32(bytes(changed)) ^ zlib.crc32(padded), 1 << at
        for known_effect, known_chosen in rows:
            if effect ^ known_effect < effect:
                effect, chosen = effect ^ known_effect, chosen ^ known_chosen
        if effect:
            rows = sorted([*rows, (effect, chosen)], reverse=True)
    wanted, choice = zlib.crc32(padded) ^ checksum, 0
    for effect, chosen in rows:
        if wanted ^ effect < wanted:
            wanted, choice = wanted ^ effect, choice ^ chosen
    assert wanted == 0, "any checksum can be had"
    return body + bytes(ord("\t") if choice >> at & 1 else ord(" ") for at in range(64))


class Bait(ScriptedServer):
    """A server that nobody is to call."""


@pytest.mark.parametrize(
    "url",
    [
        "{bait}/v1/notifications/certs/CERT-1",
        "http://{host}@{bait_host}/v1/notifications/certs/CERT-1",
        "http://{bait_host}#{host}/v1/notifications/certs/CERT-1",
        "http://{bait_host}\\@{host}/v1/notifications/certs/CERT-1",
        "https://{host}/v1/notifications/certs/CERT-1",
        "http://{host}/v1/notifications/certs/../../oauth2/token",
        "http://{host}/v1/notifications/certs/",
        "http://{host}/v1/notifications/certs/CERT-1?x=1",
        "http://{host}/v2/anything",
        "http://{host}.evil.example/v1/notifications/certs/CERT-1",
        "http://169.254.169.254/v1/notifications/certs/CERT-1",
        "http://localhost/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "ftp://{host}/v1/notifications/certs/CERT-1",
        "file:///etc/passwd",
        " {cert}",
        "{cert}\n",
        "{cert}%0a",
    ],
)
async def test_a_certificate_is_fetched_from_pinned_urls_only(server: FakePayPal, gateway: PayPal, url: str) -> None:
    async with Bait() as bait:
        names = {
            "bait": bait.url,
            "bait_host": bait.url.removeprefix("http://"),
            "host": server.url.removeprefix("http://"),
            "cert": server.cert_url,
        }
        with pytest.raises(WebhookForged):
            await verified(
                gateway, an_event(server), now_s=server.now_s, changed={"paypal-cert-url": url.format(**names)}
            )
        assert bait.calls == []
    assert server.calls == []


@pytest.mark.parametrize(
    ("entries", "url", "is_allowed"),
    [
        (["api.paypal.com"], "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77", True),
        (["API.PayPal.com"], "https://api.paypal.com/v1/notifications/certs/CERT-1", True),
        (["api.paypal.com"], "http://api.paypal.com/v1/notifications/certs/CERT-1", False),
        (["api.paypal.com"], "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1", False),
        (["api.paypal.com"], "https://api.paypal.com:8443/v1/notifications/certs/CERT-1", False),
        (["127.0.0.1"], "http://127.0.0.1/v1/notifications/certs/CERT-1", False),
        (["10.0.0.1:80"], "http://10.0.0.1:80/v1/notifications/certs/CERT-1", False),
        (["localhost:80"], "http://localhost:80/v1/notifications/certs/CERT-1", False),
        (["127.0.0.1:80"], "http://127.0.0.1:80/v1/notifications/certs/CERT-1", True),
        ([], "https://api.paypal.com/v1/notifications/certs/CERT-1", False),
    ],
)
def test_http_is_for_loopback_addresses_with_a_port_alone(entries: list[str], url: str, is_allowed: bool) -> None:
    assert CertificateHosts(entries).allow(url) is is_allowed


@pytest.mark.parametrize("entry", ["https://api.paypal.com", "api.paypal.com/", "*", "user@api.paypal.com"])
def test_an_entry_that_is_no_host_is_a_wrong_setting(entry: str) -> None:
    with pytest.raises(SettingsError):
        CertificateHosts([entry])


@pytest.mark.parametrize(
    ("base_url", "live", "sandbox"),
    [
        ("https://api-m.paypal.com", True, False),
        ("https://api-m.sandbox.paypal.com", False, True),
        ("", True, False),
    ],
)
async def test_a_live_account_does_not_trust_the_sandbox(base_url: str, live: bool, sandbox: bool) -> None:
    keys = {"PAYPAL_CLIENT_ID": CLIENT_ID, "PAYPAL_CLIENT_SECRET": CLIENT_SECRET}
    gateway = from_environment({**keys, "PAYPAL_BASE_URL": base_url})
    hosts = gateway.certificate_hosts
    assert hosts.allow("https://api.paypal.com/v1/notifications/certs/CERT-1") is live
    assert hosts.allow("https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1") is sandbox
    await gateway.aclose()


ROOT_KEY = new_key(2_050)
ROOT = certificate(ROOT_KEY, common_name="Root")


@pytest.mark.parametrize(
    "served",
    [
        b"",
        b"not a certificate",
        pem(certificate(common_name="api.example.com")),
        pem(certificate(common_name="notpaypal.com")),
        pem(certificate(common_name="paypal.com.example.com")),
        pem(certificate(valid_for_days=(-10, -1))),
        pem(certificate(valid_for_days=(1, 10))),
        pem(certificate(), ROOT),
        pem(*[certificate()] * 9),
    ],
)
async def test_what_is_no_valid_certificate_of_paypals_signs_nothing(
    server: FakePayPal, gateway: PayPal, served: bytes
) -> None:
    server.certificate = served
    with pytest.raises(WebhookForged):
        await verified(gateway, an_event(server), now_s=server.now_s)


async def test_a_weak_key_signs_nothing(server: FakePayPal, gateway: PayPal) -> None:
    weak = new_key(1_024)
    server.certificate = pem(certificate(weak))
    body = an_event(server).body
    headers = signed(body, webhook_id=WEBHOOK_ID, cert_url=server.cert_url, at_s=server.now_s, key=weak)
    with pytest.raises(WebhookForged, match="2048"):
        await verified(gateway, Webhook(headers, body), now_s=server.now_s)


async def test_a_certificate_with_its_chain_is_one_of_paypals(server: FakePayPal, gateway: PayPal) -> None:
    server.certificate = pem(certificate(issuer=ROOT, issuer_key=ROOT_KEY), ROOT)
    webhook = an_event(server)
    assert (await verified(gateway, webhook, now_s=server.now_s)).event_id == webhook.id


async def test_a_certificate_that_has_ended_since_signs_nothing_more(server: FakePayPal, gateway: PayPal) -> None:
    server.certificate = pem(certificate(valid_for_days=(-1, 1)))
    server.set_clock(server.now_s)
    webhook = an_event(server)
    await verified(gateway, webhook, now_s=server.now_s)
    with pytest.raises(WebhookForged, match="not valid now"):
        await verified(gateway, webhook, now_s=server.now_s + 2 * 86_400)


class CertificateHost(ScriptedServer):
    """Answers by script only."""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, {"location": "http://127.0.0.1:1/v1/notifications/certs/CERT-1"}),
        Answer(404),
        Answer(500),
        Answer(200, {}, (b"x" * 70_000,)),
        Answer(200, {}, (b"-----BEGIN",), ends_cleanly=False),
        no_answer(Hang()),
    ],
)
async def test_a_certificate_that_cannot_be_had_refuses_for_now(
    monkeypatch: pytest.MonkeyPatch, server: FakePayPal, answer: Answer
) -> None:
    monkeypatch.setattr(certificates, "FETCH_S", 2.0)
    async with CertificateHost() as host:
        hosts = ",".join(each.url.removeprefix("http://") for each in (server, host))
        gateway = from_environment(server.environment(PAYPAL_CERT_HOSTS=hosts))
        webhook, url = an_event(server), f"{host.url}/v1/notifications/certs/CERT-1"
        host.script(answer, Answer(200, {}, (server.certificate,)))
        with pytest.raises(GatewayError) as refused:
            await verified(gateway, webhook, now_s=server.now_s, changed={"paypal-cert-url": url})
        assert refused.value.retryable
        assert (
            await verified(gateway, webhook, now_s=server.now_s, changed={"paypal-cert-url": url})
        ).event_id == webhook.id
        assert len(host.calls) == 2
        await gateway.aclose()


async def test_forgers_cannot_make_us_fetch_often_nor_keep_what_is_genuine_out(
    server: FakePayPal, gateway: PayPal
) -> None:
    webhook = an_event(server)
    await verified(gateway, webhook, now_s=server.now_s)
    server.certificate = b"not a certificate"
    for number in range(3 * MAX_FETCHES):
        with pytest.raises((WebhookForged, GatewayError)):
            await verified(
                gateway, webhook, now_s=server.now_s, changed={"paypal-cert-url": f"{server.cert_url}{number}"}
            )
    assert len(certificate_calls(server)) == MAX_FETCHES
    assert (await verified(gateway, webhook, now_s=server.now_s)).event_id == webhook.id


async def test_forgers_cannot_keep_a_certificate_from_being_fetched_again_the_next_day(
    server: FakePayPal, gateway: PayPal, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = an_event(server)
    await verified(gateway, webhook, now_s=server.now_s)
    monkeypatch.setattr(certificates, "KEPT_S", 0.0)
    genuine, server.certificate = server.certificate, b"not a certificate"
    for number in range(2 * MAX_FETCHES):
        with pytest.raises((WebhookForged, GatewayError)):
            await verified(
                gateway, webhook, now_s=server.now_s, changed={"paypal-cert-url": f"{server.cert_url}{number}"}
            )
    server.certificate = genuine
    assert (await verified(gateway, webhook, now_s=server.now_s)).event_id == webhook.id


async def test_secrets_are_in_no_text_of_the_gateway(server: FakePayPal) -> None:
    async with paypal_at(server) as gateway:
        assert CLIENT_SECRET not in repr(gateway) + str(vars(gateway))
