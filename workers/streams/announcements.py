"""Hints that balances have changed, from whoever commits to whoever shows them. Best effort: every hint may be lost."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self, cast
from uuid import UUID

import structlog

from workers.streams.link import LOST, RedisLink

CHANNEL: Final = "holdfast:balances"
MAX_WAITING: Final = 10_000
MAX_MESSAGE_IDS: Final = 1_000
RETRY_S: Final = 0.5

_ID_BYTES: Final = 16
_PING_EVERY_S: Final = 15.0
_log = structlog.stdlib.get_logger(__name__)


class BalanceAnnouncer:
    """Says which accounts have changed. `note` fits `LedgerWriter(on_commit=...)`: it only takes note and returns."""

    def __init__(self, redis_url: str) -> None:
        self._link = RedisLink(redis_url, timeout_s=2.0)
        self._waiting: dict[UUID, None] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="balance-announcer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._link.close()

    def note(self, account_ids: Iterable[UUID]) -> None:
        """Announce soon that these accounts have changed."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.update(dict.fromkeys(account_ids))
            self._news.set()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            ids = list(self._waiting)
            self._waiting.clear()
            pages = [ids[at : at + MAX_MESSAGE_IDS] for at in range(0, len(ids), MAX_MESSAGE_IDS)]
            try:
                await self._link.execute([("PUBLISH", CHANNEL, b"".join(i.bytes for i in page)) for page in pages])
            except LOST as lost:
                _log.info("balance_announcement_lost", error=repr(lost), accounts=len(ids))
                await asyncio.sleep(RETRY_S)


async def hear_changed(redis_url: str, changed: Callable[[list[UUID]], None]) -> None:
    """Call `changed` with every announcement, until cancelled and over any loss of Redis."""
    link = RedisLink(redis_url, timeout_s=2.0)
    try:
        while True:
            try:
                await link.execute([("SUBSCRIBE", CHANNEL)])
                while True:
                    changed(_ids(await link.receive(_PING_EVERY_S)))
            except LOST as lost:
                _log.info("balance_announcements_lost", error=repr(lost))
                await asyncio.sleep(RETRY_S)
    finally:
        await link.close()


def _ids(message: object) -> list[UUID]:
    """The account ids of a pub/sub message; the answer to a ping has none."""
    kind, *_, data = cast("list[bytes]", message)
    if kind != b"message":
        return []
    return [UUID(bytes=data[at : at + _ID_BYTES]) for at in range(0, len(data) - _ID_BYTES + 1, _ID_BYTES)]
