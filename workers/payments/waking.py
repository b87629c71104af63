"""Waking a worker for webhooks that were kept: many at once with one message."""

import asyncio
from typing import Final

from workers.queue import GenerationQueue, PaymentsDue

GATHER_S: Final = 0.05
"""Those that are kept within this time share a wake-up: one message costs a worker more than the webhook it is for."""


class InboxWaker:
    """Wakes workers on behalf of one process. What it loses, the clock makes good."""

    def __init__(self, queue: GenerationQueue) -> None:
        self._queue = queue
        self._is_waiting = False

    def note(self, request_id: str) -> None:
        """Take note of a webhook that was kept; a worker is woken soon."""
        if not self._is_waiting:
            self._is_waiting = True
            asyncio.get_running_loop().call_later(GATHER_S, self._wake, request_id)

    def _wake(self, request_id: str) -> None:
        self._is_waiting = False
        self._queue.send(PaymentsDue(request_id))
