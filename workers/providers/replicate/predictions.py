"""Replicate's predictions over HTTP: created, asked for, found again, cancelled."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
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
    milliseconds,
    no_results,
    percent_of_logs,
)
from workers.providers.errors import MalformedResponse, MalformedUsage, ProviderError, RequestRejected
from workers.providers.headers import trace_headers
from workers.providers.interface import MediaResult, ProviderRequest, UpstreamJob, Usage
from workers.providers.replicate.errors import PROVIDER, error_of_prediction, error_of_reply
from workers.providers.replicate.webhooks import id_of_body

OUTPUT_EXPIRES_S: Final = 3_600.0
"""Replicate deletes the files of a prediction an hour after it ended."""

LEAST_DEADLINE_S: Final = 5
FIND_PAGES: Final = 3
"""Of 100 predictions each, newest first. A job that is looked up was created seconds ago."""

FIND_UNSURE: Final = 20
"""So many predictions whose webhook the list leaves out are asked for one by one."""

_VERSION: Final = re.compile(r"[0-9a-f]{40,64}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_WAITING: Final = "starting"
_RUNNING: Final = "processing"
_OUTPUT_DEPTH: Final = 3


class Replicate(BackgroundProvider):
    """One connection pool to Replicate's API.

    The upstream name of a model is `owner/name` (an official model), `owner/name:version` or a version alone, or
    `deployments/owner/name`.
    """

    name = PROVIDER
    description = "Models of many makers for pictures, films, music and speech, through Replicate's API."
    can_find = True

    def __init__(self, *, api_token: str, base_url: str, pace: Pace | None = None) -> None:
        super().__init__(pace)
        self._http = JobHttp(provider=PROVIDER, base_url=base_url, authorization=f"Bearer {api_token}")

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        super().check(request)
        _endpoint(request.upstream_model)

    async def create(self, request: ProviderRequest) -> UpstreamJob:
        """See `BackgroundProvider.create`. It gets a deadline, for the case that nobody is left to cancel it."""
        path, body = _endpoint(request.upstream_model)
        body["input"] = upstream_input(request, provider=PROVIDER)
        if request.webhook_url is not None:
            body |= {"webhook": request.webhook_url, "webhook_events_filter": ["completed"]}
        deadline_s = max(LEAST_DEADLINE_S, math.ceil(request.timeouts.total_s))
        reply = await self._http.send(
            "POST",
            self._http.url(path),
            json=body,
            headers={**trace_headers(request), "Cancel-After": f"{deadline_s}s"},
            connect_s=request.timeouts.connect_s,
        )
        if not reply.is_success:
            raise error_of_reply(reply, is_create=True)
        try:
            return _job(reply.json())
        except MalformedResponse as error:
            # It was taken on; only its id is lost.
            error.ambiguous = True
            raise

    async def find(self, webhook_url: str) -> UpstreamJob | None:
        """See `BackgroundProvider.find`."""
        url = self._http.url("predictions")
        unsure: list[UpstreamJob] = []
        for _ in range(FIND_PAGES):
            page = _successful(await self._http.send("GET", url)).json()
            for prediction in _objects(page.get("results")):
                if prediction.get("webhook") == webhook_url:
                    return _job(prediction)
                if "webhook" not in prediction and len(unsure) < FIND_UNSURE:
                    unsure.append(_job(prediction))
            if not page.get("next"):
                break
            url = self._http.own(page["next"])
        for job in unsure:
            if (await self._prediction(job)).get("webhook") == webhook_url:
                return job
        return None

    async def state(self, job: UpstreamJob, asked: AskedFor) -> JobState:
        """See `BackgroundProvider.state`."""
        return read_prediction(await self._prediction(job), asked)

    async def cancel(self, job: UpstreamJob) -> None:
        """See `BackgroundProvider.cancel`."""
        reply = await self._http.send("POST", self._http.url(f"predictions/{_checked_id(job.id)}/cancel"))
        if not reply.is_success and reply.status not in {404, 409, 422}:
            raise error_of_reply(reply)

    def id_of_webhook(self, body: bytes) -> str | None:
        """See `BackgroundProvider.id_of_webhook`."""
        return id_of_body(body)

    def job_of_id(self, upstream_model: str, upstream_id: str) -> UpstreamJob:
        """See `BackgroundProvider.job_of_id`."""
        del upstream_model
        return UpstreamJob(id=upstream_id)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await super().aclose()
        await self._http.aclose()

    async def _prediction(self, job: UpstreamJob) -> dict[str, Any]:
        reply = await self._http.send("GET", self._http.url(f"predictions/{_checked_id(job.id)}"))
        return _successful(reply).json()


def read_prediction(prediction: dict[str, Any], asked: AskedFor) -> JobState:
    """Say in our words how a prediction is doing.

    Raises:
        MalformedResponse: it has no status that we know.
    """
    status = prediction.get("status")
    match status:
        case "starting":
            return JobState(phase="waiting", message=_WAITING)
        case "processing":
            return JobState(phase="running", percent=percent_of_logs(prediction.get("logs")), message=_RUNNING)
        case "succeeded" | "failed" | "canceled" | "aborted":
            return _ended(str(status), prediction, asked)
        case _:
            raise MalformedResponse(provider=PROVIDER, provider_message=f"status {status!r:.100}")


def _ended(status: str, prediction: dict[str, Any], asked: AskedFor) -> JobState:
    try:
        compute_ms, is_measured = _compute_ms(status, prediction)
    except MalformedUsage as malformed:
        return JobState(phase="over", error=malformed, reason=status)
    error: ProviderError | None = None
    results: tuple[MediaResult, ...] = ()
    if status == "succeeded":
        try:
            results = bounded(_results(prediction.get("output"), asked, _OUTPUT_DEPTH))
            error = None if results else no_results(PROVIDER, prediction.get("output"))
        except MalformedResponse as malformed:
            error = malformed
    else:
        error = error_of_prediction(status, prediction)
    usage, is_estimated = measure(asked, results, compute_ms=compute_ms)
    if not results:
        usage, is_estimated = Usage(compute_ms=compute_ms), False
    return JobState(
        phase="over",
        results=results,
        usage=usage,
        usage_estimated=is_estimated or not is_measured,
        error=error,
        reason=status,
    )


def _compute_ms(status: str, prediction: dict[str, Any]) -> tuple[int, bool]:
    """Return how long the machine worked for us, and whether Replicate says so; else by the prediction's own times."""
    if status == "aborted":
        return 0, True
    metrics = prediction.get("metrics")
    measured = cast("dict[str, Any]", metrics).get("predict_time") if isinstance(metrics, dict) else None
    compute_ms = checked_compute_ms(PROVIDER, "predict_time", measured)
    if compute_ms is not None:
        return compute_ms, True
    started, completed = _moment(prediction.get("started_at")), _moment(prediction.get("completed_at"))
    if started is None or completed is None:
        return 0, False
    return milliseconds((completed - started).total_seconds()) or 0, False


def _results(output: object, asked: AskedFor, depth: int) -> Iterator[MediaResult]:
    """Find the files in an output: one URL, a list of them, or an object of which some members are URLs."""
    if isinstance(output, str) and (is_web_url(output) or output[:5].lower() == "data:"):
        yield media_result(PROVIDER, output, asked, expires_in_s=OUTPUT_EXPIRES_S)
    elif depth and isinstance(output, list):
        for item in cast("list[object]", output):
            yield from _results(item, asked, depth - 1)
    elif depth and isinstance(output, dict):
        for item in cast("dict[str, object]", output).values():
            yield from _results(item, asked, depth - 1)


def _endpoint(upstream_model: str) -> tuple[str, dict[str, Any]]:
    """Return where a prediction of this model is created, and what the body says of the model."""
    name, _, version = upstream_model.rpartition(":")
    if _VERSION.fullmatch(version) and (not name or _NAME.fullmatch(name)):
        return "predictions", {"version": version}
    deployment = upstream_model.removeprefix("deployments/")
    if deployment != upstream_model and _NAME.fullmatch(deployment):
        return f"deployments/{deployment}/predictions", {}
    if _NAME.fullmatch(upstream_model):
        return f"models/{upstream_model}/predictions", {}
    words = f"{upstream_model!r:.200} is not owner/name, owner/name:version or deployments/owner/name"
    raise RequestRejected(provider=PROVIDER, provider_message=words)


def _job(prediction: dict[str, Any]) -> UpstreamJob:
    return UpstreamJob(id=_checked_id(prediction.get("id")))


def _checked_id(text: object) -> str:
    if not is_job_id(text):
        raise MalformedResponse(provider=PROVIDER, provider_message=f"id {text!r:.100}")
    return text


def _successful(reply: Reply) -> Reply:
    if not reply.is_success:
        raise error_of_reply(reply)
    return reply


def _objects(value: object) -> list[dict[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
