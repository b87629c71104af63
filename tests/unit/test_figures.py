"""The twelve figures that the last line about a generation has."""

from workers.figures import twelve_figures
from workers.generations import Figures
from workers.settlement import Ending
from workers.streams.terminal import Failure

NAMES = [
    "total_ms", "database_ms", "cache_read_ms", "credit_ms", "provider_ms", "cache_write_ms",
    "status", "provider", "fallback_used", "cache_hit", "input_length", "error_class",
]  # fmt: skip


def test_there_are_twelve_figures_in_milliseconds() -> None:
    figures = Figures(
        served_provider="openai", database_us=1_499, cache_read_us=250, provider_us=900_000, input_length=12
    )

    line = twelve_figures(figures, Ending(ended_as="completed"), total_us=1_000_000, credit_us=2_000)

    assert list(line) == NAMES
    assert [line[name] for name in NAMES] == [
        1000.0, 1.5, 0.2, 2.0, 900.0, None, "completed", "openai", False, False, 12, None,
    ]  # fmt: skip


def test_a_lost_generation_says_what_is_known_and_names_its_class_of_error() -> None:
    ending = Ending(ended_as="failed", error=Failure(code="worker_lost", message="Sorry."))

    line = twelve_figures(Figures(), ending, total_us=None, credit_us=-5)

    assert (line["error_class"], line["provider"], line["total_ms"]) == ("worker_lost", None, None)
    assert line["credit_ms"] == 0.0, "a clock that was set back makes no negative time"
