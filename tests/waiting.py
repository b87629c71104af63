"""Waiting for something to become true, with a deadline instead of a sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.01


async def eventually(condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 10) -> None:
    """Return as soon as `condition` holds; fail when it has not held within the time."""
    deadline = time.monotonic() + within_s
    while True:
        holds = condition()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        await asyncio.sleep(POLL_S)
