"""The twelve figures of a generation, as the one line that says how it ended has them."""

from workers.generations import Figures
from workers.settlement import Ending


def twelve_figures(figures: Figures, ending: Ending, *, total_us: int | None, credit_us: int) -> dict[str, object]:
    """Return where the time went, in milliseconds, and how it ended; null where nobody measured.

    Total and credit time are as the process that settled it saw them, commit included. The row has them from inside the
    transaction, so it is ahead by what the commit took.
    """
    return {
        "total_ms": _ms(total_us),
        "database_ms": _ms(figures.database_us),
        "cache_read_ms": _ms(figures.cache_read_us),
        "credit_ms": _ms(credit_us),
        "provider_ms": _ms(figures.provider_us),
        "cache_write_ms": _ms(figures.cache_write_us),
        "status": ending.ended_as,
        "provider": figures.served_provider,
        "fallback_used": figures.fallback_used,
        "cache_hit": figures.cache_hit,
        "input_length": figures.input_length,
        "error_class": None if ending.error is None else ending.error.code,
    }


def _ms(time_us: int | None) -> float | None:
    return None if time_us is None else round(max(0, time_us) / 1_000, 1)
