"""Headers to and from providers."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from workers.providers.interface import ProviderRequest

_SANE_HEADER = re.compile(r"[\x21-\x7e]{1,512}")


def trace_headers(request: ProviderRequest) -> dict[str, str]:
    """Return what ties the provider's log line to ours.

    `X-Client-Request-Id` is the name OpenAI keeps, gateways keep `X-Request-ID`. An id that a header cannot carry is
    left out: it must not fail the call.
    """
    headers = {
        "X-Request-ID": request.request_id,
        "X-Client-Request-Id": request.request_id,
        "X-Holdfast-Generation-ID": request.generation_id,
    }
    return {name: value for name, value in headers.items() if _SANE_HEADER.fullmatch(value)}


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return how long the provider asks us to wait, in seconds, or `None` where it does not say so in a form we know.

    `retry-after-ms` is more exact and wins over `retry-after`, which is in seconds or an HTTP date. Never below 0; the
    cap is in `ProviderError`.
    """
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) / per_second
        except (KeyError, ValueError):
            continue
        if not math.isnan(wait_s):
            return max(wait_s, 0.0)
    try:
        at = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    # A date in "-0000" comes back without a zone; HTTP dates are always in UTC.
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)
