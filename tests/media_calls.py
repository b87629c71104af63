"""Building calls to providers of pictures and films, and what they hear of webhooks meanwhile."""

import asyncio
from collections.abc import Mapping

from msgspec import structs

from tests.provider_calls import Outcome, a_request
from workers.providers import InputFile, MediaResult, Progress, ProviderRequest, Timeouts, UpstreamJob
from workers.providers.background.provider import Pace
from workers.providers.interface import JobNews, JobStarted

QUICK = Pace(first_s=0.01, longest_s=0.02, longest_with_webhook_s=0.02, webhook_patience_s=0.2, look_up_s=(0.0, 0.01))
PATIENT = Pace(first_s=30.0, longest_s=30.0, longest_with_webhook_s=30.0, webhook_patience_s=10.0, look_up_s=(0.0,))
"""Asks so rarely that only a webhook can have made it ask."""

WEBHOOK_URL = "https://holdfast.example/webhooks/providers/fake/token-1"


class News:
    """Webhooks that the test brings."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self.is_wanted = is_wanted
        self._bodies = asyncio.Queue[bytes]()
        self.heard = 0

    def bring(self, body: bytes) -> None:
        self._bodies.put_nowait(body)

    async def webhook(self) -> bytes:
        body = await self._bodies.get()
        self.heard += 1
        return body


def media_request(
    mode: str = "image",
    *,
    model: str,
    prompt: str = "A harbour at dusk",
    inputs: dict[str, object] | None = None,
    options: dict[str, object] | None = None,
    files: Mapping[str, InputFile] | None = None,
    webhook_url: str | None = None,
    news: JobNews | None = None,
    resume: UpstreamJob | None = None,
    timeouts: Timeouts | None = None,
) -> ProviderRequest:
    """A request for one picture, unless told otherwise."""
    return structs.replace(
        a_request(prompt, options=options, timeouts=timeouts),
        upstream_model=model,
        mode=mode,
        upstream_inputs=inputs or {},
        files=files or {},
        webhook_url=webhook_url,
        news=news,
        resume=resume,
    )


def results_of(outcome: Outcome) -> list[MediaResult]:
    return [chunk for chunk in outcome.chunks if isinstance(chunk, MediaResult)]


def progress_of(outcome: Outcome) -> list[Progress]:
    return [chunk for chunk in outcome.chunks if isinstance(chunk, Progress)]


def job_of(outcome: Outcome) -> UpstreamJob:
    """The job, which comes before anything else."""
    assert isinstance(outcome.chunks[0], JobStarted), outcome
    return outcome.chunks[0].job
