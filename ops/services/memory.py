"""How much memory a server of ours may keep pages in."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

LEAST_MB: Final = 256
MOST_MB: Final = 1_024
SHARE: Final = 16
"""One part in so many of what there is: others live here too, and the page cache has what is left."""

MEMBERSHIP: Final = Path("/proc/self/cgroup")
HIERARCHIES: Final = {
    "": (Path("/sys/fs/cgroup"), "memory.max"),
    "memory": (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
}
"""Where a container or a unit is told how much memory it may use: in version 2 of control groups, and in version 1."""


def buffers_mb() -> int:
    """Return how many megabytes a database should keep in memory of its own, by what this machine or container has."""
    there_are = min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits()])
    return max(LEAST_MB, min(MOST_MB, there_are // SHARE // 2**20))


def limits(membership: Path = MEMBERSHIP, hierarchies: Mapping[str, tuple[Path, str]] = HIERARCHIES) -> Iterator[int]:
    """Yield every limit in bytes that holds for this process: of its control group, and of those above."""
    for file in _limit_files(membership, hierarchies):
        # None is there, or it says "max".
        with contextlib.suppress(OSError, ValueError):
            yield int(file.read_text())


def _limit_files(membership: Path, hierarchies: Mapping[str, tuple[Path, str]]) -> Iterator[Path]:
    lines = membership.read_text().splitlines() if membership.exists() else []  # it does on Linux only
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for root, name in [hierarchies[each] for each in controllers.split(",") if each in hierarchies]:
            group = root / path.lstrip("/")
            yield from (place / name for place in (group, *group.parents))
