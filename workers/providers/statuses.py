"""What an HTTP status means where the provider's own error says no more: often the answer of a proxy on the way."""

from workers.providers.errors import (
    AuthenticationFailed,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    TimedOut,
    Unavailable,
)

KIND_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: AuthenticationFailed,
    404: ModelNotFound,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}
"""Statuses with a meaning of their own. 529 is Anthropic's."""

_CLIENT_ERRORS = range(400, 500)


def kind_by_range(status: int) -> type[ProviderError]:
    """For any other status: our request was wrong, or the provider failed."""
    return RequestRejected if status in _CLIENT_ERRORS else Unavailable
