"""Prometheus metrics: what this process counts, and what was read of the platform.

Labels are route templates, never paths, so their number is bounded.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.encode()
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_registry: Final = CollectorRegistry()
_requests: Final = Counter(
    "holdfast_http_requests", "Answered requests.", ["method", "route", "status"], registry=_registry
)
_seconds: Final = Histogram(
    "holdfast_http_request_seconds",
    "Time to the end of the answer.",
    ["method", "route"],
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_registry,
)
_facts: Final = Gauge("holdfast_health", "What the readiness check measured last.", ["fact"], registry=_registry)


class _Series(NamedTuple):
    requests: Counter
    seconds: Histogram


@lru_cache(maxsize=2_048)
def _series(method: str, route: str, status: int) -> _Series:
    return _Series(_requests.labels(method, route, str(status)), _seconds.labels(method, route))


def record_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    series = _series(method if method in _KNOWN_METHODS else "other", route, status)
    series.requests.inc()
    series.seconds.observe(seconds)


def record_fact(fact: str, value: float) -> None:
    """Remember one number that the readiness check measured."""
    _facts.labels(fact).set(value)


class _Read(Collector):
    """Metrics that were read elsewhere."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def render(platform: Sequence[Metric] = ()) -> bytes:
    """Return the metrics of this process, and those that were read, in the text format that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(platform))
    return generate_latest(_registry) + generate_latest(registry)
