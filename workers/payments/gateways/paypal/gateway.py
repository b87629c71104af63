"""PayPal as a `Gateway`: orders, captures, refunds and disputes."""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, NoReturn
from urllib.parse import urlsplit

from workers.payments.facts import DisputeFact, DisputeStatus, Fact, PaymentFact, RefundFact, SubscriptionFact
from workers.payments.gateway import (
    GatewayError,
    NotSupported,
    Purchase,
    RenewedBy,
    SavedCharge,
    StartedPurchase,
    UnknownObject,
    WebhookEvent,
    WebhookMalformed,
)
from workers.payments.gateways.paypal.amounts import amount_of
from workers.payments.gateways.paypal.certificates import CertificateHosts, Certificates
from workers.payments.gateways.paypal.errors import Refusal
from workers.payments.gateways.paypal.http import ANSWER_S, PayPalHttp
from workers.payments.gateways.paypal.listing import listed
from workers.payments.gateways.paypal.reading import (
    disputes_of,
    ours,
    payment_of,
    refund_of,
    reversal_of,
    without_refunds,
)
from workers.payments.gateways.paypal.requests import order_request, refund_request
from workers.payments.gateways.paypal.signature import Signatures, event_of, resource_of
from workers.payments.gateways.paypal.wire import (
    NAME,
    Capture,
    Dispute,
    Event,
    FoundDisputes,
    Order,
    Refund,
    Resource,
    is_id,
)
from workers.payments.gateways.registry import base_url
from workers.payments.money import Money

LIVE_URL: Final = "https://api-m.paypal.com"
LIVE_HOSTS: Final = ("api.paypal.com", "api-m.paypal.com")
SANDBOX_HOSTS: Final = ("api.sandbox.paypal.com", "api-m.sandbox.paypal.com")

MAX_REQUEST_ID: Final = 108

_CAPTURE_EVENTS: Final = frozenset(f"PAYMENT.CAPTURE.{what}" for what in ("COMPLETED", "PENDING", "DENIED", "DECLINED"))
_REFUND_EVENTS: Final = frozenset(
    {"PAYMENT.CAPTURE.REFUNDED", *(f"PAYMENT.REFUND.{what}" for what in ("PENDING", "COMPLETED", "FAILED"))}
)
_DISPUTE_EVENTS: Final = frozenset(f"CUSTOMER.DISPUTE.{what}" for what in ("CREATED", "UPDATED", "RESOLVED"))

_APPROVED: Final = "CHECKOUT.ORDER.APPROVED"
_REVERSED: Final = "PAYMENT.CAPTURE.REVERSED"
_EVENTS: Final = _CAPTURE_EVENTS | _REFUND_EVENTS | _DISPUTE_EVENTS | {_APPROVED, _REVERSED}

_CAPTURED_BEFORE: Final = "ORDER_ALREADY_CAPTURED"
_NOT_APPROVED: Final = "ORDER_NOT_APPROVED"
_WILL_NOT_BE_PAID: Final = frozenset({
    "CARD_EXPIRED", "COMPLIANCE_VIOLATION", "DUPLICATE_INVOICE_ID", "INSTRUMENT_DECLINED",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", "ORDER_EXPIRED", "PAYEE_BLOCKED_TRANSACTION",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED", "PAYER_ACCOUNT_RESTRICTED", "PAYER_ACTION_REQUIRED", "PAYER_CANNOT_PAY",
    "PAYMENT_DENIED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING", "TRANSACTION_BLOCKED_BY_PAYEE",
    "TRANSACTION_LIMIT_EXCEEDED", "TRANSACTION_REFUSED",
})  # fmt: skip
"""Why a capture is refused so that no money moves and nobody has to do anything: the customer cannot pay so, PayPal or
our own filters will not have it, or the order is over. Whatever else it may be is ours to put right."""


def from_environment(environment: Mapping[str, str]) -> "PayPal":
    """Return the gateway that the environment describes.

    Raises:
        SettingsError: a value makes no sense.
    """
    url = base_url(environment, "PAYPAL_BASE_URL", LIVE_URL)
    hosts = _listed(environment, "PAYPAL_CERT_HOSTS") or _certificate_hosts(url)
    return PayPal(
        base_url=url,
        client_id=environment["PAYPAL_CLIENT_ID"].strip(),
        client_secret=environment["PAYPAL_CLIENT_SECRET"].strip(),
        webhook_ids=_listed(environment, "PAYPAL_WEBHOOK_ID"),
        certificate_hosts=hosts,
    )


class PayPal:
    """Our account at PayPal. See `Gateway`."""

    name = NAME
    renewed_by: RenewedBy = "nobody"

    def __init__(
        self,
        *,
        base_url: str,
        client_id: str,
        client_secret: str,
        webhook_ids: Sequence[str],
        certificate_hosts: Sequence[str],
        answer_s: float = ANSWER_S,
    ) -> None:
        self._http = PayPalHttp(base_url=base_url, client_id=client_id, client_secret=client_secret, answer_s=answer_s)
        self.certificate_hosts = CertificateHosts(certificate_hosts)
        self._signatures = Signatures(webhook_ids=webhook_ids, certificates=Certificates(self.certificate_hosts))

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """See `Gateway.verify`. The address says nothing: PayPal signs."""
        del remote_address
        return await self._signatures.verify(headers, body, now_s=now_s)

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """See `Gateway.facts`. Everything is fetched again, because the signature does not quite prove the body.

        An approved order is captured here, as often as this is called to no more effect than once.
        """
        del headers
        event = event_of(body)
        try:
            return await self._facts(kind, event)
        except WebhookMalformed as error:
            raise GatewayError(self.name, str(error), retryable=False) from error
        except UnknownObject as error:
            # It was announced, so it is there; only not yet wherever this question went.
            raise GatewayError(self.name, f"{error}; it was announced by {event.id[:64]}", retryable=True) from error

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """See `Gateway.start_purchase`. PayPal remembers the key for six hours, and the order for three."""
        if purchase.price_key or purchase.save_method:
            raise NotSupported(self.name, "sells packs only, and saves no means of payment")
        order = await self._http.post(
            "/v2/checkout/orders", Order, body=order_request(purchase), request_id=str(purchase.order_id)
        )
        if not order.approve_url:
            raise GatewayError(self.name, f"order {order.id} has no link for the customer", retryable=False)
        return StartedPurchase(gateway_id=order.id, url=order.approve_url)

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """See `Gateway.refund`. PayPal remembers the key for 45 days."""
        path = f"/v2/payments/captures/{_known(payment_id)}/refund"
        body = refund_request(amount_of(amount), reason)
        refund = await self._http.post(path, Refund, body=body, request_id=_request_id(key))
        return refund_of(refund, capture_id=payment_id)

    def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """See `Gateway.listed`. What happened within the last three hours may be missing."""
        return listed(self._http, since_us=since_us, until_us=until_us)

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """See `Gateway.charge_saved`."""
        del charge
        self._refuse("keeps no means of payment for us")

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """See `Gateway.subscription`."""
        del subscription_id
        self._refuse("has no subscriptions of ours")

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """See `Gateway.change_plan`."""
        del subscription_id, purchase, at_once
        self._refuse("has no subscriptions of ours")

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """See `Gateway.cancel_subscription`."""
        del subscription_id, at_once
        self._refuse("has no subscriptions of ours")

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """See `Gateway.resume_subscription`."""
        del subscription_id
        self._refuse("has no subscriptions of ours")

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """See `Gateway.portal_url`."""
        del customer_id, return_url
        self._refuse("has no page for our customers")

    async def aclose(self) -> None:
        """See `Gateway.aclose`."""
        await self._http.aclose()

    async def _facts(self, kind: str, event: Event) -> Sequence[Fact]:
        if kind not in _EVENTS:
            return []
        resource = resource_of(event)
        if kind == _APPROVED:
            return await self._capture(resource, event.id)
        if kind in _CAPTURE_EVENTS:
            return [payment_of(await self._http.get(f"/v2/payments/captures/{_known(resource.id)}", Capture))]
        if kind in _REFUND_EVENTS:
            return [refund_of(await self._http.get(f"/v2/payments/refunds/{_known(resource.id)}", Refund))]
        if kind == _REVERSED:
            return await self._reversed(resource)
        return await self._disputed(resource.dispute_id)

    async def _capture(self, resource: Resource, event_id: str) -> Sequence[PaymentFact]:
        """Take the money for an order that its customer approved, and return what came of it.

        An order can be captured once, whatever the key. The event is part of the key because a customer whose card was
        declined may approve once more, and the same key would only repeat the first answer.
        """
        units = resource.purchase_units
        if not units or any(ours(unit.custom_id)[0] is None for unit in units):
            # Somebody else's, who uses the same account: whether it is to be captured is not ours to say.
            return []
        path = f"/v2/checkout/orders/{_known(resource.id)}"
        try:
            key = _request_id(f"{resource.id}:{event_id}")
            order = await self._http.post(f"{path}/capture", Order, body={}, request_id=key)
        except Refusal as refusal:
            if refusal.status != 422:
                raise
            if _NOT_APPROVED in refusal.issues:
                # It was announced; only not yet wherever this question went.
                words = f"{_NOT_APPROVED}: {resource.id}, whose approval was announced by {event_id[:64]}"
                raise GatewayError(self.name, words, retryable=True) from refusal
            if refusal.issues & _WILL_NOT_BE_PAID:
                return []
            if _CAPTURED_BEFORE not in refusal.issues:
                raise
            order = await self._http.get(path, Order)
        return [payment_of(capture) for capture in order.captures]

    async def _reversed(self, resource: Resource) -> Sequence[DisputeFact]:
        """Return the disputes that explain why PayPal took a payment back, or the reversal itself."""
        query = {"disputed_transaction_id": _known(resource.capture_id)}
        found = await self._http.get("/v1/customer/disputes", FoundDisputes, query)
        facts = [fact for item in found.items for fact in await self._disputed(item.dispute_id, is_withdrawn=True)]
        return [fact for fact in facts if fact.payment_id == resource.capture_id] or [reversal_of(resource)]

    async def _disputed(self, dispute_id: str, *, is_withdrawn: bool = False) -> Sequence[DisputeFact]:
        dispute = await self._http.get(f"/v1/customer/disputes/{_known(dispute_id)}", Dispute)
        facts = disputes_of(dispute, is_withdrawn=is_withdrawn)
        return [await self._by_itself(fact, dispute) if fact.status is DisputeStatus.lost else fact for fact in facts]

    async def _by_itself(self, fact: DisputeFact, dispute: Dispute) -> DisputeFact:
        """Return a lost dispute without what was refunded meanwhile."""
        capture = await self._http.get(f"/v2/payments/captures/{_known(fact.payment_id)}", Capture)
        order_id = capture.supplementary_data.related_ids.order_id
        if not order_id or capture.status not in ("PARTIALLY_REFUNDED", "REFUNDED"):
            return fact
        order = await self._http.get(f"/v2/checkout/orders/{_known(order_id)}", Order)
        return without_refunds(fact, order, opened_at=dispute.create_time)

    def _refuse(self, message: str) -> NoReturn:
        raise NotSupported(self.name, message)


def _known(object_id: str) -> str:
    """Return an id that can be a part of a path."""
    if not is_id(object_id):
        raise UnknownObject(NAME, f"{object_id[:40]!r} is no id of PayPal's")
    return object_id


def _request_id(key: str) -> str:
    """Return a key as PayPal takes it: a long one is replaced by its digest."""
    return key if len(key) <= MAX_REQUEST_ID and key.isascii() else hashlib.sha256(key.encode()).hexdigest()


def _listed(environment: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environment.get(name, "").split(",") if part.strip()]


def _certificate_hosts(url: str) -> Sequence[str]:
    """Return where certificates of this environment come from: a live account never trusts the sandbox's."""
    return SANDBOX_HOSTS if urlsplit(url).hostname in SANDBOX_HOSTS else LIVE_HOSTS
