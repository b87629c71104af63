"""The errors of OpenAI, and of servers that speak as it does, in our words."""

from datetime import UTC, datetime
from typing import cast

import msgspec
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

_BY_CODE: dict[str, type[ProviderError]] = {
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "insufficient_quota": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "bio_policy": ContentRefused,
    "content_filter": ContentRefused,
    "content_policy_violation": ContentRefused,
    "image_content_policy_violation": ContentRefused,
    "invalid_prompt": ContentRefused,
    "misalignment_policy_violation": ContentRefused,
    "moderation_blocked": ContentRefused,
    "context_length_exceeded": RequestRejected,
    "data_residency_mismatch": RequestRejected,
    "empty_image_file": RequestRejected,
    "failed_to_download_image": RequestRejected,
    "image_file_not_found": RequestRejected,
    "image_file_too_large": RequestRejected,
    "image_parse_error": RequestRejected,
    "image_too_large": RequestRejected,
    "image_too_small": RequestRejected,
    "invalid_base64_image": RequestRejected,
    "invalid_image": RequestRejected,
    "invalid_image_format": RequestRejected,
    "invalid_image_mode": RequestRejected,
    "invalid_image_url": RequestRejected,
    "unsupported_image_media_type": RequestRejected,
    "invalid_api_key": AuthenticationFailed,
    "model_not_found": ModelNotFound,
    "rate_limit_exceeded": RateLimited,
    "server_error": Unavailable,
    "server_is_overloaded": Overloaded,
    "slow_down": Overloaded,
    "vector_store_timeout": TimedOut,
}
_BY_TYPE: dict[str, type[ProviderError]] = {
    "insufficient_quota": QuotaExhausted,
    "authentication_error": AuthenticationFailed,
    "overloaded_error": Overloaded,
    "rate_limit_error": RateLimited,
    "server_error": Unavailable,
    "service_unavailable_error": Overloaded,
}

_BAD_GEMINI_KEY = "API_KEY_INVALID"
"""Gemini answers a wrong key with 400, as if a customer's request were wrong; this reason is the only sign."""


def translate(error: Exception, broken: type[ProviderError], *, provider: str) -> ProviderError | None:
    """Our error for one the SDK raised; `None` for any other. `broken` says what a broken connection means now."""
    match error:
        case openai.APIStatusError():
            return _kind_of_error(error, status=error.status_code)(
                provider=provider,
                provider_message=_words(error),
                status=error.status_code,
                retry_after_s=retry_after_s(error.response.headers, now=datetime.now(UTC)),
                upstream_request_id=error.request_id,
            )
        case openai.APITimeoutError():
            return TimedOut(provider=provider, provider_message=_cause(error))
        case openai.APIConnectionError():
            return broken(provider=provider, provider_message=_cause(error))
        case openai.APIError():
            # An `error` object inside the stream: the SDK raises it without a status.
            return _kind_of_error(error, status=200)(provider=provider, provider_message=error.message, status=200)
        case _:
            return None


def kind_of(*, code: str | None, type_: str | None, status: int) -> type[ProviderError]:
    """By code, type, status. The type `invalid_request_error` comes last: it also goes with 401, 404 and others."""
    if code is not None and code.isdecimal() and status == 200:
        # OpenRouter's codes are HTTP statuses, in mid-stream as well.
        status, code = int(code), None
    kind = _BY_CODE.get(code or "") or _BY_TYPE.get(type_ or "") or KIND_BY_STATUS.get(status)
    if kind is None and type_ == "invalid_request_error" and status < 500:
        return RequestRejected
    return kind or kind_by_range(status)


def _kind_of_error(error: openai.APIError, *, status: int) -> type[ProviderError]:
    if _BAD_GEMINI_KEY in repr(error.body):
        return AuthenticationFailed
    if _was_moderated(error.body):
        return ContentRefused
    return kind_of(code=error.code, type_=error.type, status=status)


def _words(error: openai.APIStatusError) -> str:
    """Return what the provider said. Gemini puts its error into a list, where the SDK does not find it."""
    body = error.body
    return msgspec.json.encode(cast("list[object]", body)).decode() if isinstance(body, list) else error.message


def _was_moderated(body: object) -> bool:
    """Whether OpenRouter names what was wrong with the content; without that its 403 is about the key."""
    metadata = cast("dict[str, object]", body).get("metadata") if isinstance(body, dict) else None
    return isinstance(metadata, dict) and bool(cast("dict[str, object]", metadata).get("reasons"))


def _cause(error: openai.APIError) -> str:
    return f"{type(error.__cause__).__name__}: {error.__cause__}" if error.__cause__ else error.message
