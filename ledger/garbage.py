"""Garbage collection for processes that keep many objects and make few cycles."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""Allocations between collections of the youngest generation. CPython's default of 700 costs a ledger writer an eighth
of its time: each batch makes thousands of objects, freed by reference count once their callers are answered."""


def collect_rarely() -> None:
    """Call once a process has imported what it needs: what exists now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
