"""Calls to Stripe through its SDK: a limit of time for each, answers as our structs, and errors in our words."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final, TypeVar

import msgspec
import stripe

from workers.payments.gateway import Declined, GatewayError, UnknownObject
from workers.payments.gateways.stripe.connections import Connections
from workers.payments.gateways.stripe.settings import StripeSettings

MAX_RETRIES: Final = 2
"""By the SDK, under the same idempotency key: after a broken connection, a conflict, or when Stripe is in trouble."""

PAUSES_S: Final = 5.0
"""More than the SDK waits between its attempts, all together."""

MAX_MESSAGE_LENGTH: Final = 500
_MISSING: Final = "resource_missing"
_NO_ANSWER: Final = "no answer that could be understood"

_REPLAYED: Final = "idempotent-replayed"

T = TypeVar("T")


class DeclinedBefore(Declined):
    """The bank said no when this was asked for under the same key before, and was not asked again."""


class Calls:
    """Our account at Stripe, for one event loop."""

    def __init__(self, settings: StripeSettings) -> None:
        self._http = Connections(timeout_s=settings.timeout_s)
        self._limit_s = settings.timeout_s * (MAX_RETRIES + 1) + PAUSES_S
        self._account = stripe.StripeClient(
            settings.api_key,
            base_addresses={"api": settings.base_url},
            max_network_retries=MAX_RETRIES,
            http_client=self._http,
        )
        self.client: Final = self._account.v1

    async def read(self, call: Awaitable[stripe.StripeObject], type_: type[T]) -> T:
        """Return what a call that changes nothing answers.

        Raises:
            GatewayError: it does not answer, or refuses.
        """
        return await self._answer(_body(call), type_, writes=False)

    async def page(self, path: str, params: Mapping[str, object], type_: type[T]) -> T:
        """Return a page of a list, without the SDK's objects: to make them takes longer than everything else.

        Raises:
            GatewayError: Stripe does not answer, or refuses.
        """
        call: Awaitable[stripe.StripeResponse] = self._account.raw_request_async("get", path, **params)  # pyright: ignore[reportUnknownMemberType] - its parameters have no types
        return await self._answer(_raw_body(call), type_, writes=False)

    async def write(self, call: Awaitable[stripe.StripeObject], type_: type[T]) -> T:
        """Return what a call that may change something answers.

        Raises:
            GatewayError: it refuses, or does not answer, and then it may have been done all the same.
        """
        return await self._answer(_body(call), type_, writes=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    async def _answer(self, call: Awaitable[str], type_: type[T], *, writes: bool) -> T:
        try:
            async with asyncio.timeout(self._limit_s):
                body = await call
        except stripe.StripeError as error:
            raise _translated(error, writes=writes) from error
        except TimeoutError as error:
            raise GatewayError("stripe", "no answer in time", retryable=True, ambiguous=writes) from error
        try:
            return msgspec.json.decode(body, type=type_)
        except msgspec.MsgspecError as error:
            raise GatewayError("stripe", _NO_ANSWER, retryable=True, ambiguous=writes) from error


async def _body(call: Awaitable[stripe.StripeObject]) -> str:
    response = (await call).last_response
    assert response is not None, "what was answered has an answer"
    return response.body


async def _raw_body(call: Awaitable[stripe.StripeResponse]) -> str:
    return (await call).body


def _translated(error: stripe.StripeError, *, writes: bool) -> GatewayError:
    """What an error of the SDK's means to us. Its message is Stripe's, which shows no more of a key than its end."""
    message = (error.user_message or type(error).__name__)[:MAX_MESSAGE_LENGTH]
    retryable, ambiguous = False, False
    match error:
        case stripe.CardError():
            declined = DeclinedBefore if (error.headers or {}).get(_REPLAYED) == "true" else Declined
            return declined("stripe", message, payment_id=_intent_of(error))
        case stripe.InvalidRequestError() if error.code == _MISSING:
            return UnknownObject("stripe", message)
        case stripe.RateLimitError():
            retryable = True
        case stripe.IdempotencyError():
            ambiguous = True
        case stripe.AuthenticationError():
            # What a key does not open is our mistake, and nothing that the request could mend.
            message, retryable = "it does not take STRIPE_API_KEY", True
        case stripe.PermissionError():
            retryable = True
        case stripe.InvalidRequestError():
            pass
        case stripe.APIConnectionError():
            message, retryable, ambiguous = "no answer", True, writes
        case _:
            message, retryable, ambiguous = f"it answered {error.http_status or 0}", True, writes
    return GatewayError("stripe", message, retryable=retryable, ambiguous=ambiguous)


class _RefusedIntent(msgspec.Struct):
    id: str


class _Refusal(msgspec.Struct):
    payment_intent: _RefusedIntent | None = None


class _Refused(msgspec.Struct):
    error: _Refusal


def _intent_of(error: stripe.CardError) -> str | None:
    """The payment intent that a card was declined for."""
    try:
        intent = msgspec.json.decode(error.http_body or "", type=_Refused).error.payment_intent
    except msgspec.MsgspecError:
        return None
    return intent.id if intent else None
