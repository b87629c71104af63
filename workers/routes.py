"""Serving one attempt by the first route that can: the model asked for, then its fallbacks.

The chain and all versions in it are those of admission. One attempt is one logical job: it has one stream and one
settlement, whoever serves it, and every call that was made on the way is recorded.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog

from workers.breakers import Breakers, RouteKey
from workers.calls import LEAST_TIME_S, CallResult, JobKeeping, ProviderCalls, RouteCall, timed_out_before_start
from workers.catalogue import Catalogue
from workers.claims import Claim
from workers.leases import Lease
from workers.models import ModelDefinition
from workers.providers import InputFile, Provider, ProviderError, ProviderNotConfigured, ProviderRegistry
from workers.providers.errors import AuthenticationFailed, ModelNotFound, QuotaExhausted, Unavailable
from workers.requests import Route, provider_request
from workers.results import AttemptResults, MediaKeeping
from workers.streams.generation_stream import GenerationStream

_OTHERS_MAY_DO = (AuthenticationFailed, ModelNotFound, QuotaExhausted)
"""No second try with the same provider makes sense, but another provider may well serve it."""

BREAKER_OPEN: Final = "left alone for a moment after repeated failures"

_log = structlog.stdlib.get_logger(__name__)

OpenJob = Callable[[Claim, Provider, int], Awaitable["OpenedJob | None"]]


class OpenedJob(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a call to a provider that works in the background, and what the call must know of it."""

    jobs: JobKeeping
    changes: dict[str, object]
    """Fields of the request: `webhook_url`, and `resume` where an earlier attempt's job still runs."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt, and whose work it is."""

    result: CallResult
    results: AttemptResults
    model: str
    provider: str
    fallback_used: bool = False


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """What a process serves attempts with."""

    providers: ProviderRegistry
    catalogue: Catalogue
    breakers: Breakers
    open_job: OpenJob

    async def serve(
        self,
        claim: Claim,
        lease: Lease,
        stream: GenerationStream,
        *,
        media: MediaKeeping,
        files: Mapping[str, InputFile],
        limit_s: float,
    ) -> Served:
        """Call the routes in their order until one completes, one has delivered something, or none is left.

        Raises:
            ProviderNotConfigured: no route of the chain is configured here any more.
            StreamFenced: a later attempt writes the stream.
        """
        ends_s = time.monotonic() + limit_s
        result = CallResult()
        served: Served | None = None
        missing: ProviderNotConfigured | None = None
        for number, route in enumerate(claim.request.chain(claim.price_version)):
            definition = await self.catalogue.definition(route.model, route.version)
            try:
                provider = self.providers.get(definition.provider)
            except ProviderNotConfigured as error:
                missing = missing or error
                continue
            results = AttemptResults(stream, media, provider=provider.name)
            served = Served(
                result=result, results=results, model=route.model, provider=provider.name, fallback_used=number > 0
            )
            try:
                await self._call(claim, lease, served, route, definition, files, ends_s)
            finally:
                await results.aclose()
            if not _next_may_serve(result, results):
                return served
            _log.warning("route_failed", model=route.model, provider=provider.name, code=_code(result.error))
        if served is None:
            assert missing is not None, "a chain has at least the model itself"
            raise missing
        return served

    async def _call(
        self,
        claim: Claim,
        lease: Lease,
        served: Served,
        route: Route,
        definition: ModelDefinition,
        files: Mapping[str, InputFile],
        ends_s: float,
    ) -> None:
        provider, result = self.providers.get(definition.provider), served.result
        key = RouteKey(definition.provider, definition.upstream_name)
        if ends_s - time.monotonic() < LEAST_TIME_S:
            result.outcome, result.error = "failed", result.error or timed_out_before_start(provider.name)
            return
        if not self.breakers.allows(key):
            result.outcome, result.error = "failed", Unavailable(provider=provider.name, provider_message=BREAKER_OPEN)
            return
        _, costs = await self.catalogue.price(route.model, route.price_version)
        request = provider_request(
            claim.request,
            definition,
            generation_id=claim.generation_id,
            request_id=claim.request_id,
            max_output_tokens=claim.max_output_tokens,
            files=files,
        )
        opened = await self.open_job(claim, provider, len(result.records) + 1)
        if opened is not None:
            request = msgspec.structs.replace(request, **opened.changes)
        call = RouteCall(
            model=route.model,
            provider=provider,
            request=request,
            costs=costs,
            jobs=None if opened is None else opened.jobs,
        )
        await ProviderCalls(call, served.results, result).run(lease, ends_s=ends_s)
        self._learn(key, result)

    def _learn(self, key: RouteKey, result: CallResult) -> None:
        if result.outcome == "completed":
            self.breakers.succeeded(key)
        elif result.error is not None:
            self.breakers.failed(key, result.error)
        else:
            self.breakers.stopped(key)


def _next_may_serve(result: CallResult, results: AttemptResults) -> bool:
    """Whether another route could take over without delivering, or paying for, anything twice."""
    error = result.error
    return (
        result.outcome == "failed"
        and error is not None
        and (error.retryable or isinstance(error, _OTHERS_MAY_DO))
        and not error.ambiguous
        and not results.has_output
    )


def _code(error: ProviderError | None) -> str | None:
    return None if error is None else error.code
