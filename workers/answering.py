"""Answering one claimed generation: from the prompt cache where that is wanted, else by the routes of its chain."""

import time

import msgspec

from ledger.database import Database
from workers.calls import CallResult
from workers.catalogue import Catalogue
from workers.claims import Claim
from workers.generations import Figures
from workers.keeping import AttemptMedia
from workers.leases import Lease
from workers.media.inputs import resolve_inputs
from workers.media.opening import Media
from workers.media.results import ResultKeeper
from workers.modes import StructuredInvalid, validate_structured
from workers.prompt_cache import CachedAnswer, PromptCache, is_cacheable
from workers.routes import Router, Served
from workers.streams.generation_stream import GenerationStream

CACHED_REASON = "stop"
"""Only a whole answer is kept: one that ran into a limit says nothing to the next."""


class Attempt(msgspec.Struct, kw_only=True):
    """What one attempt has come to so far; filled in on the way, so that nothing is lost where something breaks."""

    result: CallResult = msgspec.field(default_factory=CallResult)
    figures: Figures = msgspec.field(default_factory=Figures)
    price_percent: int = 100

    def note(self, **figures: object) -> None:
        """Add to the figures."""
        self.figures = msgspec.structs.replace(self.figures, **figures)


class Answerer(msgspec.Struct, frozen=True, kw_only=True):
    """What a process answers generations with."""

    database: Database
    catalogue: Catalogue
    router: Router
    cache: PromptCache
    media: Media
    keeper: ResultKeeper

    async def answer(
        self, claim: Claim, lease: Lease, stream: GenerationStream, attempt: Attempt, *, limit_s: float
    ) -> None:
        """Stream an answer; what it came to is in `attempt`.

        Raises:
            MediaError: a file that goes into it is not there any more.
            ProviderNotConfigured: none of its chain is configured here any more.
            StreamFenced: a later attempt writes the stream.
        """
        if is_cacheable(claim) and await self._answer_again(claim, stream, attempt):
            return
        began_s = time.perf_counter()
        files = await resolve_inputs(self.database, self.media, claim.request.file_ids, account_id=claim.account_id)
        attempt.note(database_us=(attempt.figures.database_us or 0) + round((time.perf_counter() - began_s) * 1e6))
        served = await self.router.serve(
            claim, lease, stream, attempt.result, media=self._media_of, files=files, limit_s=limit_s
        )
        attempt.note(
            served_model=served.model,
            served_provider=served.provider,
            fallback_used=served.fallback_used,
        )
        if attempt.result.outcome != "completed":
            return
        if claim.request.output_schema is not None and not _take_value(claim, stream, attempt.result, served):
            return
        if is_cacheable(claim) and not served.fallback_used and attempt.result.finish_reason == CACHED_REASON:
            await self._keep(claim, stream, attempt, served)

    async def _answer_again(self, claim: Claim, stream: GenerationStream, attempt: Attempt) -> bool:
        found = await self.cache.find(claim)
        attempt.note(cache_read_us=found.took_us)
        answer = found.answer
        if answer is None:
            return False
        route = claim.request.chain(claim.price_version)[0]
        attempt.price_percent = (await self.catalogue.definition(route.model, route.version)).cache_hit_percent
        attempt.note(cache_hit=True, served_model=answer.served_model, served_provider=answer.served_provider)
        result = attempt.result
        result.outcome, result.finish_reason, result.usage = "completed", CACHED_REASON, answer.usage
        result.first_token_at_us = time.time_ns() // 1_000
        if answer.text:
            stream.text(answer.text)
        if answer.json:
            stream.json(answer.json)
            stream.structured_value(msgspec.json.decode(answer.json))
        return True

    async def _keep(self, claim: Claim, stream: GenerationStream, attempt: Attempt, served: Served) -> None:
        assert attempt.result.usage is not None, "what completed has its usage"
        answer = CachedAnswer(
            text=stream.output_text,
            json=served.results.json,
            usage=attempt.result.usage,
            served_model=served.model,
            served_provider=served.provider,
        )
        attempt.note(cache_write_us=await self.cache.keep(claim, answer))

    def _media_of(self, claim: Claim, provider: str) -> AttemptMedia:
        return AttemptMedia(self.keeper, claim, provider=provider)


def _take_value(claim: Claim, stream: GenerationStream, result: CallResult, served: Served) -> bool:
    """Check a structured answer; one that does not fit has failed, at no cost."""
    schema = claim.request.output_schema
    assert schema is not None, "only asked of what has one"
    try:
        value = validate_structured(schema, served.results.json, provider=served.provider)
    except StructuredInvalid as invalid:
        result.outcome, result.error = "failed", invalid
        return False
    stream.structured_value(value)
    return True
