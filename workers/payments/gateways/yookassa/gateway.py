"""YooKassa as one of our gateways."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, NoReturn
from uuid import UUID

import msgspec

from workers.payments.facts import Fact, PaymentFact, RefundFact, SubscriptionFact
from workers.payments.gateway import (
    Declined,
    GatewayError,
    NotSupported,
    Purchase,
    RenewedBy,
    SavedCharge,
    StartedPurchase,
    WebhookEvent,
    WebhookForged,
    WebhookMalformed,
)
from workers.payments.gateways.yookassa import listing, requests
from workers.payments.gateways.yookassa.http import ASKING, MAKING, MethodRefused, Patience, YooKassaHttp
from workers.payments.gateways.yookassa.objects import PROGRESS, Notice, Payment, Refund
from workers.payments.gateways.yookassa.senders import is_trusted
from workers.payments.gateways.yookassa.settings import YooKassaSettings
from workers.payments.gateways.yookassa.translating import NAME, money, payment_fact, refund_fact, why
from workers.payments.money import Money

KEY_LIFETIME_S: Final = 23 * 60 * 60
"""For how long we rely on YooKassa to know a key again. It promises 24 hours."""

_DECODER: Final = msgspec.json.Decoder(Notice)


class YooKassa:
    """Our shop at YooKassa. Renewals are charges that we make to the means of payment which the first payment saved."""

    name: str = NAME
    renewed_by: RenewedBy = "us"

    def __init__(
        self,
        settings: YooKassaSettings,
        *,
        asking: Patience = ASKING,
        making: Patience = MAKING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._networks = settings.networks
        self._vat_code = settings.vat_code
        self._clock = clock
        self._http = YooKassaHttp(
            shop_id=settings.shop_id,
            secret_key=settings.secret_key,
            base_url=settings.base_url,
            asking=asking,
            making=making,
        )

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """Return what a notification is, if it comes from YooKassa's networks.

        It has no id and no time: the same object gets into one status once, so both together tell it from all others.
        """
        del headers, now_s
        if not is_trusted(remote_address, self._networks):
            raise WebhookForged(f"{remote_address[:64]!r} is not in YooKassa's networks")
        notice = _notice(body)
        return WebhookEvent(
            event_id=f"{notice.event}:{notice.object.id}", kind=notice.event, object_id=notice.object.id
        )

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """Return what the object of a notification is now.

        Raises:
            UnknownObject: our shop has no such object.
            GatewayError: among other reasons, because the object is not yet what the notification says it is. It is to
                be asked for again later, not to be taken as it is: the notification will not come a second time.
        """
        del headers
        about, _, claimed = kind.partition(".")
        object_id = _notice(body).object.id
        if about == "payment":
            payment = await self._http.get(f"payments/{object_id}", Payment)
            _demand(payment, object_id, claimed)
            return (payment_fact(payment),)
        if about == "refund":
            refund = await self._http.get(f"refunds/{object_id}", Refund)
            _demand(refund, object_id, claimed)
            return (refund_fact(refund),)
        return ()

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """Make the payment of an order, and return where the customer confirms it."""
        payment = await self._pay(purchase.order_id, requests.payment_request(purchase, self._vat_code))
        if payment.status == "canceled":
            words = f"the payment of this order is over: {why(payment.cancellation_details)}"
            raise GatewayError(NAME, words, retryable=False)
        url = payment.confirmation.confirmation_url if payment.confirmation else ""
        # Somebody who has paid already has nothing left to confirm.
        return StartedPurchase(gateway_id=payment.id, url=url or purchase.return_url)

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """Charge a saved means of payment. The answer may be that it is still pending; a notification follows then.

        Raises:
            Declined: the bank or the customer does not want it, or the means of payment is not there any more.
        """
        try:
            payment = await self._pay(charge.order_id, requests.charge_request(charge, self._vat_code))
        except MethodRefused as error:
            raise Declined(NAME, f"the saved means of payment cannot be charged: {error}") from error
        if payment.status == "canceled":
            raise Declined(NAME, why(payment.cancellation_details), payment_id=payment.id)
        return payment_fact(payment)

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """Give money back. The receipt of a part is made after the payment; of the whole, YooKassa makes it itself.

        YooKassa knows a key for a day. Whoever repeats it later finds the refund by what was put into it.
        """
        async with aclosing(listing.refunds_of(self._http, payment_id)) as refunds:
            async for refund in refunds:
                if requests.is_made_under(refund, key):
                    return refund_fact(refund)
        request = requests.refund_request(payment_id, amount, key=key, reason=reason)
        if self._vat_code is not None:
            payment = await self._http.get(f"payments/{payment_id}", Payment)
            if money(payment.amount) != amount:
                request["receipt"] = requests.refund_receipt(payment, amount, self._vat_code)
        made = await self._http.post("refunds", request, Refund, key=requests.idempotence_key(key))
        return refund_fact(made)

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """Not supported: a subscription is ours alone."""
        _unsupported(f"it has no subscriptions, so not {subscription_id[:40]!r}")

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """Not supported: a subscription is ours alone."""
        del purchase, at_once
        _unsupported(f"it has no subscriptions, so not {subscription_id[:40]!r}")

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """Not supported: a subscription is ours alone."""
        del at_once
        _unsupported(f"it has no subscriptions, so not {subscription_id[:40]!r}")

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """Not supported: a subscription is ours alone."""
        _unsupported(f"it has no subscriptions, so not {subscription_id[:40]!r}")

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """Not supported: YooKassa has no pages for the customers of a shop."""
        del customer_id, return_url
        _unsupported("it has no pages for customers")

    async def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Yield the payments that were made in that time and are paid by now, and all refunds made in it."""
        async with aclosing(
            listing.payments(self._http, since_us=since_us, until_us=until_us, status="succeeded")
        ) as payments:
            async for payment in payments:
                yield payment_fact(payment)
        async with aclosing(listing.refunds(self._http, since_us=since_us, until_us=until_us)) as refunds:
            async for refund in refunds:
                yield refund_fact(refund)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _pay(self, order_id: UUID, request: dict[str, Any]) -> Payment:
        """Make the payment of an order once, whoever asks for it how often.

        YooKassa knows a key for a day. For an older order we look through the payments since, for a second charge is
        the worst that can happen here.
        """
        made_at_us = listing.made_at_us(order_id)
        now_us = int(self._clock() * 1_000_000)
        if made_at_us is not None and now_us - made_at_us > KEY_LIFETIME_S * 1_000_000:
            earlier = await listing.payment_of(self._http, order_id, since_us=made_at_us, until_us=now_us)
            if earlier is not None:
                return earlier
        return await self._http.post("payments", request, Payment, key=requests.idempotence_key(str(order_id)))


def _notice(body: bytes) -> Notice:
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed(f"it is no notification of YooKassa's: {error}"[:200]) from error


def _demand(found: Payment | Refund, object_id: str, claimed: str) -> None:
    """Hold what was fetched against what a notification says of it."""
    if found.id != object_id:
        raise GatewayError(NAME, f"asked for {object_id}, got {found.id}", retryable=True)
    if PROGRESS[found.status] < PROGRESS.get(claimed, 0):
        raise GatewayError(NAME, f"{object_id} is {found.status}, and not yet {claimed}", retryable=True)


def _unsupported(what: str) -> NoReturn:
    raise NotSupported(NAME, what)
