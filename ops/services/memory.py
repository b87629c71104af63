"""How much memory a server of ours may keep pages in."""

import os
from pathlib import Path
from typing import Final

LEAST_MB: Final = 256
MOST_MB: Final = 1_024
SHARE: Final = 16
"""One part in so many of what there is: others live here too, and the page cache has what is left."""

LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container is told how much of the machine's memory it may use."""


def buffers_mb(limits: tuple[str, ...] = LIMITS) -> int:
    """Return how many megabytes a database should keep in memory of its own, by what this machine or container has."""
    there_are = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in limits:
        try:
            there_are = min(there_are, int(Path(limit).read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return max(LEAST_MB, min(MOST_MB, there_are // SHARE // 2**20))
