"""fal's queue over HTTP: a request is submitted, asked for, fetched, cancelled.

There is no list of requests, so one whose submission was lost is known only once its webhook comes.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from workers.providers.background.http import JobHttp, Reply
from workers.providers.background.inputs import upstream_input
from workers.providers.background.provider import BackgroundProvider, Pace
from workers.providers.background.state import (
    AskedFor,
    JobState,
    bounded,
    checked_compute_ms,
    is_job_id,
    is_web_url,
    measure,
    media_result,
    no_results,
    percent_of_logs,
)
from workers.providers.errors import MalformedResponse, MalformedUsage, ProviderError, RequestRejected, Unavailable
from workers.providers.fal.errors import PROVIDER, error_of_reply, error_of_status, is_of_the_request
from workers.providers.fal.webhooks import id_of_body
from workers.providers.headers import trace_headers
from workers.providers.interface import MediaResult, ProviderRequest, UpstreamJob, Usage

_MODEL: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,6}", re.ASCII)
_APP_PARTS: Final = 2
"""A request is asked for under `owner/app`, whatever endpoint of the app it was sent to."""

_RESULT_KEYS: Final = (
    "images", "image", "image_url", "videos", "video", "video_url", "audios", "audio", "audio_file", "audio_url",
)  # fmt: skip
_LONGEST_LOG: Final = 50


class Fal(BackgroundProvider):
    """One connection pool to fal's queue. The upstream name of a model is its endpoint, such as `fal-ai/flux/dev`."""

    name = PROVIDER
    description = "Models of many makers for pictures, films, music and speech, through fal's queue."

    def __init__(self, *, api_key: str, base_url: str, pace: Pace | None = None) -> None:
        super().__init__(pace)
        self._http = JobHttp(provider=PROVIDER, base_url=base_url, authorization=f"Key {api_key}")

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        super().check(request)
        if not _MODEL.fullmatch(request.upstream_model):
            words = f"{request.upstream_model!r:.200} is not an endpoint such as owner/app or owner/app/path"
            raise RequestRejected(provider=PROVIDER, provider_message=words)

    async def create(self, request: ProviderRequest) -> UpstreamJob:
        """See `BackgroundProvider.create`. fal is told not to run it again if it fails: we would not see it."""
        reply = await self._http.send(
            "POST",
            self._http.url(request.upstream_model),
            json=upstream_input(request, provider=PROVIDER),
            params=None if request.webhook_url is None else {"fal_webhook": request.webhook_url},
            headers={**trace_headers(request), "X-Fal-No-Retry": "1"},
            connect_s=request.timeouts.connect_s,
        )
        if not reply.is_success:
            raise error_of_reply(reply, is_create=True)
        try:
            return self._submitted(request.upstream_model, reply.json())
        except MalformedResponse as error:
            # It was taken on; only its id is lost.
            error.ambiguous = True
            raise

    async def find(self, webhook_url: str) -> UpstreamJob | None:
        """See `BackgroundProvider.find`: there is no list."""
        del webhook_url
        raise Unavailable(provider=PROVIDER, provider_message="fal has no list of requests")

    async def state(self, job: UpstreamJob, asked: AskedFor) -> JobState:
        """See `BackgroundProvider.state`."""
        reply = await self._http.send("GET", self._http.own(job.status_url), params={"logs": "1"})
        if not reply.is_success:
            raise error_of_reply(reply)
        status = reply.json()
        match status.get("status"):
            case "IN_QUEUE":
                return JobState(phase="waiting", message=_place_in_queue(status.get("queue_position")))
            case "IN_PROGRESS":
                return JobState(phase="running", percent=_percent(status.get("logs")), message="in progress")
            case "COMPLETED":
                return await self._ended(job, status, asked)
            case other:
                raise MalformedResponse(provider=PROVIDER, provider_message=f"status {other!r:.100}")

    async def cancel(self, job: UpstreamJob) -> None:
        """See `BackgroundProvider.cancel`."""
        reply = await self._http.send("PUT", self._http.own(job.cancel_url))
        # 400: it is completed already. 404: it is gone.
        if not reply.is_success and reply.status not in {400, 404}:
            raise error_of_reply(reply)

    def id_of_webhook(self, body: bytes) -> str | None:
        """See `BackgroundProvider.id_of_webhook`."""
        return id_of_body(body)

    def job_of_id(self, upstream_model: str, upstream_id: str) -> UpstreamJob:
        """See `BackgroundProvider.job_of_id`. The URLs are those that the documentation gives."""
        app = "/".join(upstream_model.split("/")[:_APP_PARTS])
        url = self._http.url(f"{app}/requests/{upstream_id}")
        return UpstreamJob(id=upstream_id, status_url=f"{url}/status", result_url=url, cancel_url=f"{url}/cancel")

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await super().aclose()
        await self._http.aclose()

    async def _ended(self, job: UpstreamJob, status: dict[str, Any], asked: AskedFor) -> JobState:
        if (failed := error_of_status(status)) is not None:
            return JobState(phase="over", error=failed, reason="COMPLETED")
        reply = await self._http.send("GET", self._http.own(job.result_url))
        if not reply.is_success:
            error = error_of_reply(reply)
            if not is_of_the_request(reply):
                raise error
            return JobState(phase="over", error=error, reason=f"COMPLETED {reply.status}")
        return _result(reply, status, asked)

    def _submitted(self, upstream_model: str, body: dict[str, Any]) -> UpstreamJob:
        request_id = _checked_id(body.get("request_id"))
        documented = self.job_of_id(upstream_model, request_id)
        return UpstreamJob(
            id=request_id,
            status_url=self._http.own(body.get("status_url") or documented.status_url),
            result_url=self._http.own(body.get("response_url") or documented.result_url),
            cancel_url=self._http.own(body.get("cancel_url") or documented.cancel_url),
        )


def _result(reply: Reply, status: dict[str, Any], asked: AskedFor) -> JobState:
    body = reply.json()
    metrics = status.get("metrics")
    inference_time = cast("dict[str, Any]", metrics).get("inference_time") if isinstance(metrics, dict) else None
    try:
        compute_ms = checked_compute_ms(PROVIDER, "inference_time", inference_time) or 0
    except MalformedUsage as malformed:
        return JobState(phase="over", error=malformed, reason="COMPLETED")
    error: ProviderError | None = None
    results: tuple[MediaResult, ...] = ()
    try:
        results = bounded(_results(body, asked))
        error = None if results else no_results(PROVIDER, body)
    except MalformedResponse as malformed:
        error = malformed
    usage, is_estimated = measure(asked, results, compute_ms=compute_ms)
    if not results:
        usage, is_estimated = Usage(compute_ms=compute_ms), True
    return JobState(
        phase="over", results=results, usage=usage, usage_estimated=is_estimated, error=error, reason="COMPLETED"
    )


def _results(body: dict[str, Any], asked: AskedFor) -> Iterator[MediaResult]:
    for key in _RESULT_KEYS:
        value = body.get(key)
        for item in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(item, str) and (is_web_url(item) or item[:5].lower() == "data:"):
                yield media_result(PROVIDER, item, asked)
            elif isinstance(item, dict):
                yield from _file(cast("dict[str, Any]", item), body, asked)


def _file(file: dict[str, Any], body: dict[str, Any], asked: AskedFor) -> Iterator[MediaResult]:
    url = file.get("url")
    if not isinstance(url, str):
        return
    media_type = file.get("content_type")
    # Some models say how long it plays beside the file, not in it.
    duration_s = file.get("duration", body.get("duration"))
    yield media_result(
        PROVIDER,
        url,
        asked,
        media_type=media_type if isinstance(media_type, str) and media_type.isprintable() else None,
        width=file.get("width"),
        height=file.get("height"),
        duration_s=duration_s,
    )


def _place_in_queue(position: object) -> str:
    if type(position) is not int or position < 0:
        return "in the provider's queue"
    return "next in the provider's queue" if position == 0 else f"{position} ahead in the provider's queue"


def _percent(logs: object) -> int | None:
    """Return the last percentage in the messages of the runner."""
    entries = cast("list[object]", logs)[-_LONGEST_LOG:] if isinstance(logs, list) else []
    messages = [str(cast("dict[str, Any]", entry).get("message", "")) for entry in entries if isinstance(entry, dict)]
    return percent_of_logs("\n".join(messages))


def _checked_id(text: object) -> str:
    if not is_job_id(text):
        raise MalformedResponse(provider=PROVIDER, provider_message=f"request_id {text!r:.100}")
    return text
