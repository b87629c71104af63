"""Circuit breakers: a provider's model that keeps failing is left alone for a while, and the next in the chain serves.

Each process learns for itself, within as many calls as it takes to open; nothing is shared, so nothing can be lost.
The states are those of M. Nygard, Release It!: closed, open, and half-open, in which one call tries.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from workers.providers import ProviderError
from workers.providers.errors import AuthenticationFailed, ModelNotFound, QuotaExhausted

OPENS_AFTER: Final = 5
"""So many failures in a row, with no success between them."""

FORGETS_AFTER_S: Final = 60.0
"""Failures further apart than this are no row."""

STAYS_OPEN_S: Final = 10.0
PROBE_LIMIT_S: Final = 120.0
"""A probe that has not come back after this long is given up, and another may try."""

_HOPELESS = (AuthenticationFailed, ModelNotFound, QuotaExhausted)


class RouteKey(NamedTuple):
    """What breaks together: one model of one provider."""

    provider: str
    upstream_name: str


class _Breaker:
    def __init__(self) -> None:
        self.failures = 0
        self.last_failure_s = float("-inf")
        self.open_until_s = float("-inf")
        self.probe_until_s = float("-inf")


class Breakers:
    """The breakers of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._breakers: dict[RouteKey, _Breaker] = {}

    def allows(self, key: RouteKey) -> bool:
        """Whether a call may be made. A true answer for an open breaker makes the caller its one probe."""
        breaker = self._breakers.get(key)
        if breaker is None or breaker.failures < OPENS_AFTER:
            return True
        now_s = self._clock()
        if now_s < max(breaker.open_until_s, breaker.probe_until_s):
            return False
        breaker.probe_until_s = now_s + PROBE_LIMIT_S
        return True

    def succeeded(self, key: RouteKey) -> None:
        """Close it: the provider works."""
        self._breakers.pop(key, None)

    def stopped(self, key: RouteKey) -> None:
        """Take note that a call ended without telling anything about the provider; another may probe."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            breaker.probe_until_s = float("-inf")

    def failed(self, key: RouteKey, error: ProviderError) -> None:
        """Count a failure that is the provider's; what is wrong with the request itself says nothing of it."""
        if not error.retryable and not isinstance(error, _HOPELESS):
            self.succeeded(key)
            return
        now_s = self._clock()
        breaker = self._breakers.setdefault(key, _Breaker())
        if now_s - breaker.last_failure_s > FORGETS_AFTER_S:
            breaker.failures = 0
        breaker.failures += OPENS_AFTER if isinstance(error, _HOPELESS) else 1
        breaker.last_failure_s = now_s
        breaker.open_until_s = now_s + STAYS_OPEN_S
        breaker.probe_until_s = float("-inf")
