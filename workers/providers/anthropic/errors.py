"""Anthropic's errors in our words."""

from datetime import UTC, datetime

import anthropic

from workers.providers.errors import (
    AuthenticationFailed,
    MalformedResponse,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    TimedOut,
    Unavailable,
)
from workers.providers.headers import retry_after_s
from workers.providers.statuses import KIND_BY_STATUS, kind_by_range

PROVIDER = "anthropic"

_BY_TYPE: dict[str, type[ProviderError]] = {
    "invalid_request_error": RequestRejected,
    "request_too_large": RequestRejected,
    "authentication_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
    "billing_error": QuotaExhausted,
    "not_found_error": ModelNotFound,
    "rate_limit_error": RateLimited,
    "timeout_error": TimedOut,
    "overloaded_error": Overloaded,
    "api_error": Unavailable,
}

_SPENDING_CODES = frozenset(
    {
        "contract_spend_limit_reached",
        "enforced_spend_limit_reached",
        "linked_organization_billing_unavailable",
        "linked_organization_spend_limit_reached",
        "organization_on_hold",
    }
)
"""These come as 403 or 429, but waiting does not help: money does."""

_NO_CREDIT = "credit balance is too low"
"""An empty account answers 400 `invalid_request_error` without a code of its own; these words are the only sign.
Without them a customer would be told to change a request that is fine, and nobody would learn that the account is
empty."""


def translate(error: Exception, broken: type[ProviderError]) -> ProviderError | None:
    """Our error for one the SDK raised; `None` for any other. `broken` says what a broken connection means now."""
    match error:
        case anthropic.APIStatusError():
            return _kind(error)(
                provider=PROVIDER,
                provider_message=error.api_message or error.message,
                status=error.status_code,
                retry_after_s=retry_after_s(error.response.headers, now=datetime.now(UTC)),
                upstream_request_id=error.request_id,
            )
        case anthropic.APITimeoutError():
            return TimedOut(provider=PROVIDER, provider_message=_cause(error))
        case anthropic.APIConnectionError():
            return broken(provider=PROVIDER, provider_message=_cause(error))
        case anthropic.APIError():
            return MalformedResponse(provider=PROVIDER, provider_message=error.message)
        case _:
            return None


def _kind(error: anthropic.APIStatusError) -> type[ProviderError]:
    """By type, then status: an error in mid-stream comes with status 200."""
    if error.error_code in _SPENDING_CODES or _NO_CREDIT in (error.api_message or ""):
        return QuotaExhausted
    return _BY_TYPE.get(error.type or "") or KIND_BY_STATUS.get(error.status_code) or kind_by_range(error.status_code)


def _cause(error: anthropic.APIError) -> str:
    return f"{type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else error.message
