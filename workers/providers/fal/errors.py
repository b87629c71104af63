"""fal's errors in our words: those of the platform have an `error_type`, those of a model a list of details."""

from typing import Any, Final, cast

from workers.providers.background.http import Reply
from workers.providers.errors import (
    ContentRefused,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RequestRejected,
    TimedOut,
    Unavailable,
)
from workers.providers.statuses import KIND_BY_STATUS, kind_by_range

PROVIDER: Final = "fal"

_AMBIGUOUS_STATUSES: Final = frozenset({408, 500, 502, 504})
"""Said of a create by something that may have passed it on. 429 and 503 turned it away."""

_BY_TYPE: Final[dict[str, type[ProviderError]]] = {
    # Of the platform.
    "request_timeout": TimedOut,
    "startup_timeout": Overloaded,
    "runner_scheduling_failure": Overloaded,
    "runner_connection_timeout": Unavailable,
    "runner_disconnected": Unavailable,
    "runner_connection_refused": Unavailable,
    "runner_connection_error": Unavailable,
    "runner_incomplete_response": Unavailable,
    "runner_server_error": Unavailable,
    "client_disconnected": TimedOut,
    "client_cancelled": TimedOut,
    "bad_request": RequestRejected,
    "internal_error": Unavailable,
    # Of a model.
    "internal_server_error": Unavailable,
    "generation_timeout": TimedOut,
    "downstream_service_error": Unavailable,
    "downstream_service_unavailable": Overloaded,
    "content_policy_violation": ContentRefused,
    "no_media_generated": ContentRefused,
}


def error_of_reply(reply: Reply, *, is_create: bool = False) -> ProviderError:
    """Return the error of a refused request, or of one that ended in an error."""
    body = reply.json_or_none() or {}
    found_type, words = _told(body)
    found_type = found_type or reply.headers.get("x-fal-error-type", "")
    kind = _BY_TYPE.get(found_type) or {503: Overloaded}.get(reply.status) or KIND_BY_STATUS.get(reply.status)
    words = words or reply.body[:500].decode("utf-8", "replace")
    if reply.status in {402, 403} and "balance" in words.lower():
        kind = QuotaExhausted
    return (kind or kind_by_range(reply.status))(
        provider=PROVIDER,
        provider_message=f"{found_type}: {words}" if found_type else words,
        status=reply.status,
        retry_after_s=reply.retry_after_s,
        upstream_request_id=reply.headers.get("x-fal-request-id"),
        ambiguous=is_create and reply.status in _AMBIGUOUS_STATUSES,
    )


def error_of_status(status: dict[str, Any]) -> ProviderError | None:
    """Return the error that the status of a completed request tells, if any."""
    words = status.get("error")
    if not words:
        return None
    kind = _BY_TYPE.get(str(status.get("error_type")), Unavailable)
    return kind(provider=PROVIDER, provider_message=f"{status.get('error_type')}: {words!s}")


def is_of_the_request(reply: Reply) -> bool:
    """Whether an error is the request's own, and not of something on the way to its result."""
    body = reply.json_or_none() or {}
    return "x-fal-error-type" in reply.headers or "detail" in body or "error_type" in body


def _told(body: dict[str, Any]) -> tuple[str, str]:
    """Return type and words of an error body."""
    detail = body.get("detail")
    if isinstance(detail, list):
        objects = [cast("dict[str, Any]", item) for item in cast("list[object]", detail) if isinstance(item, dict)]
        first_type = next((str(item["type"]) for item in objects if item.get("type")), "")
        return first_type, "; ".join(f"{_place(item.get('loc'))}: {item.get('msg')}" for item in objects)
    words = detail or body.get("message") or body.get("error") or ""
    return str(body.get("error_type") or ""), str(words)


def _place(location: object) -> str:
    parts = cast("list[object]", location) if isinstance(location, list) else []
    return ".".join(str(part) for part in parts)
