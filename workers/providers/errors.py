"""The ways a provider call can fail, one closed set for all providers.

`code` is public API (it is the `error.code` of a generation). `message` is a sentence for the customer and never
contains the provider's words, which may quote keys or organisation names; those are in `provider_message`, for
administrators.
"""

from typing import ClassVar

MAX_RETRY_AFTER_S = 60.0
"""A provider may ask for an hour; no customer waits that long, so we try elsewhere or fail first."""

MAX_PROVIDER_MESSAGE_CHARACTERS = 2_000


class ProviderError(Exception):
    """A provider call did not complete."""

    code: ClassVar[str]
    message: ClassVar[str]
    retryable: ClassVar[bool]
    """The same call may succeed a little later. Whether to try is the caller's decision, and never after the first
    text."""

    def __init__(
        self,
        *,
        provider: str,
        provider_message: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        upstream_request_id: str | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(f"{provider}: {self.code}: {provider_message[:200]}")
        self.provider = provider
        self.provider_message = provider_message[:MAX_PROVIDER_MESSAGE_CHARACTERS]
        self.status = status
        """HTTP status, where an answer came at all; 200 for an error in mid-stream."""
        self.retry_after_s = None if retry_after_s is None else min(max(retry_after_s, 0.0), MAX_RETRY_AFTER_S)
        self.upstream_request_id = upstream_request_id
        self.ambiguous = ambiguous
        """The request to start work in the background went out and no answer came, so that work may be going on, and
        be billed, all the same. It is looked up before it is started again, or not started again. Text that is
        streamed ends with its connection, so its failures are never ambiguous."""


class RateLimited(ProviderError):
    """The provider's limit on our requests or tokens per minute is reached."""

    code = "rate_limited"
    message = "The model provider is limiting requests right now. Please try again in a moment."
    retryable = True


class Overloaded(ProviderError):
    """The provider has no capacity at the moment, for anyone."""

    code = "overloaded"
    message = "The model provider is overloaded right now. Please try again in a moment."
    retryable = True


class Unavailable(ProviderError):
    """The provider could not be reached, or failed inside."""

    code = "unavailable"
    message = "The model provider could not be reached or failed. Please try again."
    retryable = True


class TimedOut(ProviderError):
    """The provider took longer than the request's time-outs allow."""

    code = "timed_out"
    message = "The model took too long to answer. Please try again."
    retryable = True


class Truncated(ProviderError):
    """The stream ended, cleanly or not, before the provider said that it was done."""

    code = "truncated"
    message = "The connection to the model provider broke off before the answer was complete. Please try again."
    retryable = True


class MalformedResponse(ProviderError):
    """The provider sent something its documentation rules out."""

    code = "malformed_response"
    message = "The model provider sent an answer that could not be read. Please try again."
    retryable = True


class MalformedUsage(MalformedResponse):
    """The provider reported usage that cannot be: negative, absurdly large or not a number."""

    code = "malformed_usage"
    message = "The model provider reported an impossible usage, so nothing is charged. Please try again."
    retryable = False


class RequestRejected(ProviderError):
    """The request can never succeed as it is: too long, an unknown option, an empty conversation."""

    code = "invalid_request"
    message = "The model cannot take this request. It may be too long for the model or use an option it does not know."
    retryable = False


class ContentRefused(ProviderError):
    """The provider's safety filters refused the prompt or stopped the answer."""

    code = "content_refused"
    message = "The model provider's content filter refused this request."
    retryable = False


class ModelNotFound(ProviderError):
    """The provider does not know the model, or does not let our key use it."""

    code = "model_not_found"
    message = "This model is not available from its provider."
    retryable = False


class QuotaExhausted(ProviderError):
    """Our account with the provider has no money or quota left."""

    code = "quota_exhausted"
    message = "This model is temporarily unavailable. We have been informed."
    retryable = False


class AuthenticationFailed(ProviderError):
    """The provider does not accept our key, or the key may not do this."""

    code = "authentication"
    message = "This model is temporarily unavailable. We have been informed."
    retryable = False
