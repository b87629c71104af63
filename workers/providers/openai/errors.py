"""OpenAI's errors in our words."""

from datetime import UTC, datetime

import openai

from workers.providers.errors import (
    AuthenticationFailed,
    ContentRefused,
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

PROVIDER = "openai"

_BY_CODE: dict[str, type[ProviderError]] = {
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "insufficient_quota": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "content_filter": ContentRefused,
    "content_policy_violation": ContentRefused,
    "context_length_exceeded": RequestRejected,
    "invalid_api_key": AuthenticationFailed,
    "model_not_found": ModelNotFound,
    "rate_limit_exceeded": RateLimited,
    "server_is_overloaded": Overloaded,
    "slow_down": Overloaded,
}
_BY_TYPE: dict[str, type[ProviderError]] = {
    "insufficient_quota": QuotaExhausted,
    "authentication_error": AuthenticationFailed,
    "overloaded_error": Overloaded,
    "rate_limit_error": RateLimited,
    "server_error": Unavailable,
    "service_unavailable_error": Overloaded,
}


def translate(error: Exception, broken: type[ProviderError]) -> ProviderError | None:
    """Our error for one the SDK raised; `None` for any other. `broken` says what a broken connection means now."""
    match error:
        case openai.APIStatusError():
            return _kind(error, status=error.status_code)(
                provider=PROVIDER,
                provider_message=error.message,
                status=error.status_code,
                retry_after_s=retry_after_s(error.response.headers, now=datetime.now(UTC)),
                upstream_request_id=error.request_id,
            )
        case openai.APITimeoutError():
            return TimedOut(provider=PROVIDER, provider_message=_cause(error))
        case openai.APIConnectionError():
            return broken(provider=PROVIDER, provider_message=_cause(error))
        case openai.APIError():
            # An `error` object inside the stream: the SDK raises it without a status.
            return _kind(error, status=200)(provider=PROVIDER, provider_message=error.message, status=200)
        case _:
            return None


def _kind(error: openai.APIError, *, status: int) -> type[ProviderError]:
    """By code, type, status. The type `invalid_request_error` comes last: it also goes with 401, 404 and others."""
    kind = _BY_CODE.get(error.code or "") or _BY_TYPE.get(error.type or "") or KIND_BY_STATUS.get(status)
    if kind is None and error.type == "invalid_request_error":
        return RequestRejected
    return kind or kind_by_range(status)


def _cause(error: openai.APIError) -> str:
    return f"{type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else error.message
