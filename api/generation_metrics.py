"""Metrics of the whole platform, which run in no process of the API: read from Postgres when they are asked for."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from api.services import Services
from projections.analytics import TIME_BOUNDS_US
from projections.analytics_totals import Total, read_totals
from workers.generations import GenerationStatus
from workers.queue_counts import QueueCount, read_queue_counts
from workers.tiers import Tier

TIMEOUT_S: Final = 2.0

_LABELS: Final = ("model", "provider", "operation")
_COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "fallbacks": ("holdfast_generation_fallbacks", "Generations that another model than the one asked for served."),
    "cache_hits": ("holdfast_generation_cache_hits", "Generations that the prompt cache answered."),
    "input_characters": ("holdfast_generation_input_characters", "Characters of what was asked."),
    "calls": ("holdfast_provider_calls", "Calls to providers, by the provider that was called."),
    "cost_microdollars": ("holdfast_provider_cost_microdollars", "What calls to providers cost, in 10^-6 US dollars."),
}
_PARTS: Final = ("total", "first_token", "database", "cache_read", "credit", "provider", "cache_write")
"""By their numbers in `analytics_latencies`."""

_log: Final = structlog.get_logger("api.metrics")


class _Times(NamedTuple):
    counts: dict[int, int]
    """By how many bounds are below."""
    sum_us: list[int]


async def platform_metrics(services: Services) -> list[Metric]:
    """Return the metrics of the platform; where Postgres is away, none of them but that it is."""
    up = GaugeMetricFamily("holdfast_platform_up", "Whether the metrics of the platform could be read.")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            totals, queues = await asyncio.gather(read_totals(services.database), read_queue_counts(services.database))
    except Exception as error:  # noqa: BLE001 - whatever it is, those of this process are shown all the same
        _log.warning("platform_metrics_unreadable", error=repr(error))
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    limits = services.settings.platform.provider_limits
    return [up, *generation_metrics(totals), *queue_metrics(queues, limits)]


def generation_metrics(totals: Sequence[Total]) -> Iterable[Metric]:
    """Return counters and histograms of generations that ended. None names a user."""
    ended = CounterMetricFamily("holdfast_generations", "Generations that ended.", labels=[*_LABELS, "status"])
    errors = CounterMetricFamily(
        "holdfast_generation_errors", "Generations that failed.", labels=[*_LABELS, "error_class"]
    )
    families = {counter: CounterMetricFamily(name, text, labels=_LABELS) for counter, (name, text) in _COUNTERS.items()}
    for total in totals:
        labels = [total.model, total.provider, total.operation]
        if total.counter == "generations":
            ended.add_metric([*labels, GenerationStatus(int(total.label)).name], total.amount)
        elif total.counter == "errors":
            errors.add_metric([*labels, total.label], total.amount)
        elif total.counter in families:
            families[total.counter].add_metric(labels, total.amount)
    return [ended, errors, *families.values(), _histogram(totals)]


def queue_metrics(queues: Sequence[QueueCount], limits: Mapping[str, int]) -> Iterable[Metric]:
    """Return what waits and runs now, and how many calls each limited provider may have at once."""
    states = {
        "waiting": GaugeMetricFamily(
            "holdfast_queue_depth", "Generations that wait for a worker.", labels=["tier", "provider"]
        ),
        "running": GaugeMetricFamily(
            "holdfast_generations_running", "Generations that workers run.", labels=["tier", "provider"]
        ),
    }
    for tier in Tier:
        states["waiting"].add_metric([tier.name, ""], 0)
    for queue in queues:
        states[queue.state].add_metric([Tier(queue.tier).name, queue.provider], queue.generations)
    limited = GaugeMetricFamily("holdfast_provider_limit", "Calls that may run at once.", labels=["provider"])
    for provider, limit in limits.items():
        limited.add_metric([provider], limit)
    return [*states.values(), limited]


def _histogram(totals: Sequence[Total]) -> HistogramMetricFamily:
    times: defaultdict[tuple[str, str, str], _Times] = defaultdict(lambda: _Times({}, [0]))
    for total in totals:
        if total.counter not in {"times", "time_us"}:
            continue
        measure, _, bound = total.label.partition(" ")
        place = times[total.provider, total.operation, _PARTS[int(measure)]]
        if bound:
            place.counts[int(bound)] = total.amount
        else:
            place.sum_us[0] = total.amount
    family = HistogramMetricFamily(
        "holdfast_generation_seconds", "Where the time went.", labels=["provider", "operation", "part"]
    )
    for labels, found in times.items():
        family.add_metric(labels, _buckets(found.counts), sum_value=found.sum_us[0] / 1e6)
    return family


def _buckets(counts: Mapping[int, int]) -> list[tuple[str, float]]:
    """Return how many took up to each bound."""
    buckets: list[tuple[str, float]] = []
    up_to = 0
    for number, bound in enumerate([*(f"{bound_us / 1e6:g}" for bound_us in TIME_BOUNDS_US), "+Inf"]):
        up_to += counts.get(number, 0)
        buckets.append((bound, up_to))
    return buckets
