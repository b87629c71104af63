"""The HTTP API as the demo uses it: start, follow, resume, cancel, read the balance and the statement."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, TypeVar, final

import httpx
import msgspec

from ledger.amounts import MICROCREDITS_PER_CREDIT
from ops.errors import CannotReach, CheckFailed
from workers.streams.client import TextClient
from workers.streams.sse import SseParser

TIMEOUT_S: Final = 20.0  # longer than the comment an idle stream sends every 15 s
MOST_CONNECTIONS: Final = 20
STATEMENT_PAGE: Final = 200
MOST_PAGES: Final = 1_000

Answer = TypeVar("Answer")


class Balance(msgspec.Struct, frozen=True):
    """What the account has, in microcredits, and as of which ledger version."""

    available: int
    frozen: int
    version: int


class StatementLine(msgspec.Struct, frozen=True):
    """One event of the account, as its owner sees it."""

    version: int
    kind: str
    amount: str
    available: str
    frozen: str
    recorded_at: datetime


@final
class Run:
    """One generation, as far as its reader has seen it."""

    def __init__(self, *, run_id: str, frozen: int, events_url: str, cancel_url: str) -> None:
        self.id: str = run_id
        self.frozen: int = frozen
        self.events_url: str = events_url
        self.cancel_url: str = cancel_url
        self.text: TextClient = TextClient()

    def ended(self, name: str) -> str:
        """Return one field of the `end` event."""
        assert self.text.end is not None, "followed to its end"
        return str(self.text.end[name])

    @property
    def cost(self) -> int:
        """What it cost, in microcredits."""
        return microcredits(self.ended("cost"))


Show = Callable[[Run], None]
"""Is called after every event of a run."""


class _Started(msgspec.Struct):
    id: str
    frozen: str
    events_url: str
    cancel_url: str


class _BalanceAnswer(msgspec.Struct):
    available: str
    frozen: str
    version: int


class _StatementPage(msgspec.Struct):
    items: list[StatementLine]
    next_cursor: str | None


@final
class DemoClient:
    """A user of one instance."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, url: str, key: str) -> AsyncGenerator[DemoClient]:
        """Open a client of the instance at `url` for the holder of `key`."""
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as http:
            yield cls(http)

    async def balance(self) -> Balance:
        """Read the balance of the key's account."""
        answer = await self._answer("GET", "/v1/me/balance", _BalanceAnswer)
        return Balance(microcredits(answer.available), microcredits(answer.frozen), answer.version)

    async def start(self, prompt: str, *, delay_ms: int) -> Run:
        """Start a generation with the offline model."""
        body = {"model": "echo", "input": {"prompt": prompt, "delay_ms": delay_ms}}
        started = await self._answer("POST", "/v1/generations", _Started, json=body)
        return Run(
            run_id=started.id,
            frozen=microcredits(started.frozen),
            events_url=started.events_url,
            cancel_url=started.cancel_url,
        )

    async def cancel(self, run: Run) -> None:
        """Ask for the generation to end now."""
        await self._answer("POST", run.cancel_url, dict[str, Any])

    async def follow(self, run: Run, show: Show, *, until_events: int | None = None) -> None:
        """Read on from where the run was left, to its end or until so many more events have come.

        A connection that ends before the generation does is taken up again, as a browser would.

        Raises:
            CannotReach: it kept ending before anything was said.
            BrokenStream: the server repeated or lost something.
        """
        for _ in range(MOST_CONNECTIONS):
            if await self._follow_once(run, show, until_events):
                return
        raise CannotReach(f"the stream of generation {run.id} ended {MOST_CONNECTIONS} times before its end")

    async def statement(self, *, after_version: int) -> list[StatementLine]:
        """Read the events of the account after a version, oldest first."""
        lines: list[StatementLine] = []
        parameters = {"limit": str(STATEMENT_PAGE)}
        for _ in range(MOST_PAGES):
            page = await self._answer("GET", "/v1/me/statement", _StatementPage, params=parameters)
            lines += [line for line in page.items if line.version > after_version]
            if page.next_cursor is None:
                break
            parameters["cursor"] = page.next_cursor
        return lines

    async def _follow_once(self, run: Run, show: Show, until_events: int | None) -> bool:
        headers = {"Last-Event-ID": run.text.cursor} if run.text.cursor else {}
        parser, taken = SseParser(), 0
        async with self._http.stream("GET", run.events_url, headers=headers) as stream:
            if stream.status_code != HTTPStatus.OK:
                await stream.aread()
                raise _refusal(stream)
            async for data in stream.aiter_bytes():
                for event in parser.feed(data):
                    run.text.take(event)
                    taken += 1
                    show(run)
                    if run.text.end is not None or taken == until_events:
                        return True
        return False

    async def _answer(self, method: str, path: str, kind: type[Answer], **request: Any) -> Answer:
        answer = await self._http.request(method, path, **request)
        if not answer.is_success:
            raise _refusal(answer)
        return msgspec.json.decode(answer.content, type=kind)


def microcredits(text: str) -> int:
    """Read credits of an answer, which may be zero or below, exactly."""
    return int(Decimal(text) * MICROCREDITS_PER_CREDIT)


def _refusal(answer: httpx.Response) -> CheckFailed:
    problem: dict[str, Any] = {}
    with contextlib.suppress(msgspec.DecodeError):
        problem = msgspec.json.decode(answer.content, type=dict[str, Any])
    words = problem.get("detail") or problem.get("title") or answer.reason_phrase
    return CheckFailed(f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {words}")
