"""Replicate's errors in our words."""

import re
from typing import Any, Final

from workers.providers.background.http import Reply
from workers.providers.errors import (
    ContentRefused,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RequestRejected,
    TimedOut,
    Unavailable,
)
from workers.providers.statuses import KIND_BY_STATUS, kind_by_range

PROVIDER: Final = "replicate"

_AMBIGUOUS_STATUSES: Final = frozenset({408, 500, 502, 504})
"""Said of a create by something that may have passed it on. 429 and 503 turned it away."""

_REFUSED: Final = re.compile(
    r"\bE005\b|flagged as sensitive|nsfw|safety (?:checker|filter)|content policy", re.IGNORECASE
)
_OVERLOADED: Final = re.compile(r"\bE003\b|high demand|no capacity", re.IGNORECASE)
_REJECTED: Final = re.compile(r"\bE006\b|invalid input|input validation", re.IGNORECASE)
_TIMED_OUT: Final = re.compile(r"\bE004\b|timed out|deadline", re.IGNORECASE)


def error_of_reply(reply: Reply, *, is_create: bool = False) -> ProviderError:
    """Return the error of a refused request."""
    body = reply.json_or_none() or {}
    words = str(body.get("detail") or body.get("title") or reply.body[:500].decode("utf-8", "replace"))
    kind = {404: ModelNotFound, 503: Overloaded}.get(reply.status) or KIND_BY_STATUS.get(reply.status)
    if reply.status == 403 and "credit" in words.lower():
        kind = QuotaExhausted
    return (kind or kind_by_range(reply.status))(
        provider=PROVIDER,
        provider_message=words,
        status=reply.status,
        retry_after_s=reply.retry_after_s,
        upstream_request_id=reply.headers.get("x-request-id") or reply.headers.get("cf-ray"),
        ambiguous=is_create and reply.status in _AMBIGUOUS_STATUSES,
    )


def error_of_prediction(status: str, prediction: dict[str, Any]) -> ProviderError:
    """Return the error of a prediction that ended without a result."""
    words = str(prediction.get("error") or f"the prediction is {status}")
    return _kind(status, words)(provider=PROVIDER, provider_message=words, upstream_request_id=prediction.get("id"))


def _kind(status: str, words: str) -> type[ProviderError]:
    if status == "aborted":
        # Its deadline passed before a machine was free.
        return Overloaded
    if status == "canceled" or _TIMED_OUT.search(words):
        return TimedOut
    if _REFUSED.search(words):
        return ContentRefused
    if _OVERLOADED.search(words):
        return Overloaded
    return RequestRejected if _REJECTED.search(words) else Unavailable
