"""Webhooks of providers: whether one is genuine and fresh, and which job it is about."""

import math
from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from workers.providers.background.state import is_job_id

TOLERANCE_S: Final = 300.0
"""How far the time of a webhook may be from ours, either way. Older ones may be replays."""

Verdict: TypeAlias = Literal["genuine", "forged", "stale"]


class WebhookVerifier(Protocol):
    """Knows how one provider signs. One per process."""

    async def verdict(self, headers: Mapping[str, str], body: bytes, *, now_s: float) -> Verdict:
        """Judge a webhook by its headers, in lower case, and its body as it arrived.

        Raises:
            OSError: the provider's keys are needed and cannot be had.
        """
        ...

    def upstream_id(self, body: bytes) -> str | None:
        """Return the id of the job it is about; `None` if it is about none."""
        ...

    async def aclose(self) -> None:
        """Close what was opened. A second call does nothing."""
        ...


def is_fresh(timestamp: str, *, now_s: float) -> bool:
    """Whether a time in seconds since the epoch, as a header has it, is within the tolerance."""
    try:
        at_s = float(timestamp)
    except ValueError:
        return False
    return math.isfinite(at_s) and abs(now_s - at_s) <= TOLERANCE_S


def id_in_body(body: bytes, member: str) -> str | None:
    """Return the job id that a JSON object has under this name, or `None`."""
    try:
        found = msgspec.json.decode(body, type=dict[str, object]).get(member)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if is_job_id(found) else None
