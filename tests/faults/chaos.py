"""What goes wrong at random, all of it from one seed.

A provider fails one call in five, workers are killed, Redis forgets everything, and connections of readers break.
"""

import asyncio
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.fakes import openai_server
from tests.fakes.openai_server import DONE, FakeOpenAI, beginning, chunk, completion, failure, stream_error
from tests.fakes.scripted_server import Answer, Call, Cut, Hang, event_stream, json_answer, no_answer
from tests.stream_clients import follow, forget_everything
from tests.worker_processes import Platform, kill
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.requests import GenerationRequest
from workers.streams.client import TextClient
from workers.streams.hub import StreamHub

FAILING_SHARE = 0.2
CANCELLED_SHARE = 0.04
CACHED_SHARE = 0.2
ANSWER = ("What you ", "asked for", " was 42, ", "and more", " besides.")
OVERLOADED = failure(503, "The engine is overloaded", kind="service_unavailable_error")

FAULTS: tuple[Callable[[], Answer], ...] = (
    lambda: failure(429, "slower", kind="requests", code="rate_limit_exceeded", retry_after="0"),
    lambda: failure(429, "slower", kind="requests", code="rate_limit_exceeded"),
    lambda: failure(500, "The server had an error", kind="server_error"),
    lambda: OVERLOADED,
    lambda: failure(429, "You exceeded your quota", kind="insufficient_quota", code="insufficient_quota"),
    lambda: failure(400, "no", kind="invalid_request_error"),
    lambda: json_answer(502, {"no": "error"}),
    lambda: no_answer(Cut()),
    lambda: no_answer(Hang()),
    lambda: event_stream(*beginning(*ANSWER[:2]), Cut()),
    lambda: event_stream(*beginning(*ANSWER[:2]), Hang()),
    lambda: event_stream(*beginning(*ANSWER[:3])),
    lambda: event_stream(*beginning(*ANSWER[:3]), ends_cleanly=False),
    lambda: event_stream(*beginning(*ANSWER[:1]), stream_error("busy", code="server_is_overloaded")),
    lambda: event_stream(*beginning(), stream_error("busy", code="server_is_overloaded")),
    lambda: event_stream(*beginning(*ANSWER[:1]), b'data: {"id": "chatcmpl-1", "cho\n\n'),
    lambda: event_stream(*beginning(*ANSWER), openai_server.finish(), DONE),
    lambda: event_stream(*beginning(*ANSWER), openai_server.finish(), chunk(usage={"prompt_tokens": -5}), DONE),
)
"""In every way that a call can fail: before, during and after its answer, loudly, silently and with wrong numbers."""


class FailingOpenAI(FakeOpenAI):
    """Answers in the same words every time, but for one call in five; counts calls by the job they name."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self.calls_of: Counter[str] = Counter()

    def default(self, call: Call) -> Answer:
        """An answer, or one of the faults."""
        self.calls_of[job_of(call)] += 1
        if self._random.random() < FAILING_SHARE:
            return self._random.choice(FAULTS)()
        return completion(*ANSWER)


def job_of(call: Call) -> str:
    """The job that a call is for: its prompt says so."""
    messages = call.body["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])  # pyright: ignore[reportUnknownArgumentType]  # JSON


@dataclass
class Job:
    """One generation that was asked for, and what its reader made of it."""

    generation_id: UUID
    request: GenerationRequest
    client: TextClient = field(default_factory=TextClient)

    @property
    def prompt(self) -> str:
        """What was asked, different for each job."""
        return str(self.request.input["prompt"])


def a_request(dice: random.Random, number: int) -> GenerationRequest:
    """One of the mix."""
    cache = dice.random() < CACHED_SHARE
    kind = dice.choices(["echo", "openai", "image", "speech", "structured"], [40, 30, 10, 10, 10])[0]
    if kind == "echo":
        words = " ".join(f"word{number}.{place}" for place in range(dice.randint(5, 80)))
        return GenerationRequest(
            model="echo", input={"prompt": words, "delay_ms": dice.choice([0, 10, 30, 60])}, cache=cache
        )
    prompt = "asked before" if cache else f"job {number}: a harbour at dusk"
    if kind == "openai":
        return GenerationRequest(model="gpt-5.4-mini", input={"prompt": prompt}, max_output_tokens=100, cache=cache)
    if kind == "structured":
        schema = {
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
        }  # fmt: skip
        return GenerationRequest(
            model="offline-text", mode="structured", input={"prompt": prompt, "schema": schema}, max_output_tokens=500
        )
    return GenerationRequest(model=f"offline-{kind}", input={"prompt": prompt})


class Chaos:
    """One run: jobs are asked for and read, while things break."""

    def __init__(self, platform: Platform, hub: StreamHub, accounts: Sequence[UUID], *, seed: int) -> None:
        self.platform, self.hub, self.accounts, self.seed = platform, hub, accounts, seed
        self.jobs: list[Job] = []
        self.kills = self.flushes = 0

    async def run(self, count: int, *, workers: int, breaks_for_s: float, within_s: float) -> None:
        """Ask for so many and return when each has ended and was read to its end."""
        running = [self.platform.start_worker() for _ in range(workers)]
        over = asyncio.Event()
        breaking = asyncio.create_task(self._break_things(running, over, breaks_for_s))
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
            async for job in self._ask(count, spread_over_s=breaks_for_s * 0.8):
                group.create_task(self._read(job, random.Random(f"{self.seed} reader {len(self.jobs)}")))
            group.create_task(self.platform.until_all_ended(within_s=within_s))
        over.set()
        await breaking

    async def _ask(self, count: int, *, spread_over_s: float) -> AsyncGenerator[Job]:
        dice, began_s = random.Random(f"{self.seed} jobs"), time.monotonic()
        for number in range(count):
            await _until(began_s + spread_over_s * number / count)
            request, account_id = a_request(dice, number), dice.choice(self.accounts)
            admitted = await admit(self.platform.context, account_id, request, request_id=f"chaos-{number}")
            self.jobs.append(Job(admitted.generation.id, request))
            yield self.jobs[-1]
            if dice.random() < CANCELLED_SHARE:
                await cancel_generation(self.platform.context, dice.choice(self.jobs).generation_id)

    async def _read(self, job: Job, dice: random.Random) -> None:
        """Read one stream, with connections that break after a few events and resume where they were."""
        while job.client.end is None:
            await follow(self.hub, str(job.generation_id), job.client, events=dice.choice([1, 2, 3, 5, 8, 0]))

    async def _break_things(self, running: list[subprocess.Popen[bytes]], over: asyncio.Event, for_s: float) -> None:
        dice, ends_s = random.Random(f"{self.seed} breaks"), time.monotonic() + for_s
        planned = dice.sample(["kill", "flush"], 2)
        while time.monotonic() < ends_s and not over.is_set():
            await _until(time.monotonic() + dice.uniform(0.5, 2.5), over)
            if (planned.pop() if planned else dice.choice(["kill", "kill", "flush"])) == "kill":
                victim = dice.randrange(len(running))
                kill(running[victim])
                running[victim] = self.platform.start_worker()
                self.kills += 1
            else:
                await forget_everything(self.platform.context.redis)
                self.flushes += 1


async def _until(moment_s: float, over: asyncio.Event | None = None) -> None:
    """Wait for a moment of the monotonic clock, or for the end."""
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + moment_s - time.monotonic()):
            await (over or asyncio.Event()).wait()
    except TimeoutError:
        return
