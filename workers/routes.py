"""Serving one attempt by the first route that can: the model asked for, then its fallbacks.

The chain and all versions in it are those of admission. One attempt is one logical job: it has one stream and one
settlement, whoever serves it, and every call that was made on the way is recorded.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec
import structlog

from ledger.database import Database
from workers.breakers import Breakers, RouteKey
from workers.calls import LEAST_TIME_S, CallResult, ProviderCalls, RouteCall, timed_out_before_start
from workers.catalogue import Catalogue
from workers.claims import Claim
from workers.leases import Lease
from workers.limits import ProviderLimits
from workers.models import ModelDefinition
from workers.providers import InputFile, ProviderError, ProviderNotConfigured, ProviderRegistry
from workers.providers.errors import AuthenticationFailed, ModelNotFound, Overloaded, QuotaExhausted, Unavailable
from workers.requests import Route, provider_request
from workers.results import AttemptResults, MediaKeeping
from workers.streams.generation_stream import GenerationStream
from workers.upstream_jobs import UpstreamJobs

_OTHERS_MAY_DO = (AuthenticationFailed, ModelNotFound, QuotaExhausted)
"""No second try with the same provider makes sense, but another provider may well serve it."""

BREAKER_OPEN: Final = "left alone for a moment after repeated failures"

PROVIDER_FULL: Final = "as many calls run there as this installation allows"

_log = structlog.stdlib.get_logger(__name__)

MediaOf = Callable[[Claim, str], MediaKeeping]
"""Makes what keeps the media of one attempt at one provider."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """Whose work an attempt is, and what was delivered."""

    results: AttemptResults
    model: str
    provider: str
    fallback_used: bool = False


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """What a process serves attempts with."""

    database: Database
    providers: ProviderRegistry
    catalogue: Catalogue
    breakers: Breakers
    limits: ProviderLimits
    jobs: UpstreamJobs

    async def serve(
        self,
        claim: Claim,
        lease: Lease,
        stream: GenerationStream,
        result: CallResult,
        *,
        media: MediaOf,
        files: Mapping[str, InputFile],
        limit_s: float,
    ) -> Served:
        """Call the routes in their order until one completes, one has delivered something, or none is left.

        What comes of it is noted in `result`.

        Raises:
            ProviderNotConfigured: no route of the chain is configured here any more.
            StreamFenced: a later attempt writes the stream.
        """
        ends_s = time.monotonic() + limit_s
        served: Served | None = None
        missing: ProviderNotConfigured | None = None
        for number, route in enumerate(claim.request.chain(claim.price_version)):
            definition = await self.catalogue.definition(route.model, route.version)
            try:
                provider = self.providers.get(definition.provider)
            except ProviderNotConfigured as error:
                missing = missing or error
                continue
            results = AttemptResults(stream, media(claim, provider.name), provider=provider.name)
            served = Served(results=results, model=route.model, provider=provider.name, fallback_used=number > 0)
            try:
                async with self.limits.borrowed(claim.holder, definition.provider) as has_room:
                    if has_room:
                        await self._call(claim, lease, served, result, route, definition, files, ends_s)
                    else:
                        result.outcome, result.error = "failed", _full(provider.name)
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
        result: CallResult,
        route: Route,
        definition: ModelDefinition,
        files: Mapping[str, InputFile],
        ends_s: float,
    ) -> None:
        provider = self.providers.get(definition.provider)
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
        call = RouteCall(
            model=route.model,
            provider=provider,
            request=request,
            price_version=route.price_version,
            costs=costs,
            jobs=self.jobs,
            database=self.database,
            learn=partial(self._learn, key),
        )
        await ProviderCalls(call, served.results, result).run(lease, ends_s=ends_s)

    def _learn(self, key: RouteKey, result: CallResult) -> None:
        if result.outcome == "completed":
            self.breakers.succeeded(key)
        elif result.error is not None:
            self.breakers.failed(key, result.error)
        else:
            self.breakers.stopped(key)


def _full(provider: str) -> Overloaded:
    return Overloaded(provider=provider, provider_message=PROVIDER_FULL)


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
