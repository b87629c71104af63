"""Answers kept for a day, for callers who say that an earlier answer to the very same request is as good as a new one.

An account only ever gets its own answers. The key is a digest of everything that an answer depends on, so a request
that differs in anything at all, or a model that was changed, finds nothing. Redis may forget any of it, or be away:
then the provider is asked.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.claims import Claim
from workers.modes import MODES
from workers.providers import Usage

LIFETIME_S: Final = 24 * 3_600
MAX_BYTES: Final = 1_000_000
"""A longer answer is not kept: what it would save is not worth the memory."""

PATIENCE_S: Final = 0.25
"""How long anyone waits for the cache; its whole point is to be faster than a provider."""

_AWAY = (RedisError, OSError, TimeoutError)
_T = TypeVar("_T")

_log = structlog.stdlib.get_logger(__name__)


class CachedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was given the first time."""

    text: str
    json: str
    """The text of structured output; empty where there was none."""
    usage: Usage
    served_model: str
    served_provider: str


class Timed(msgspec.Struct, frozen=True):
    """What was found, and how long looking took."""

    answer: CachedAnswer | None
    took_us: int


class PromptCache:
    """The prompt cache, as one process uses it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def find(self, claim: Claim) -> Timed:
        """Look for an answer to this request; nothing is found where the cache is away."""
        began_s = time.perf_counter()
        kept = await _patiently(self._redis.get(cache_key(claim)))
        answer: CachedAnswer | None = None
        if kept is not None:
            try:
                answer = msgspec.json.decode(kept, type=CachedAnswer)
            except msgspec.DecodeError:
                _log.warning("cached_answer_unreadable")
        return Timed(answer, _since_us(began_s))

    async def keep(self, claim: Claim, answer: CachedAnswer) -> int:
        """Keep an answer for others; return how long that took, in microseconds."""
        began_s = time.perf_counter()
        body = msgspec.json.encode(answer)
        if len(body) <= MAX_BYTES:
            await _patiently(self._redis.set(cache_key(claim), body, ex=LIFETIME_S))
        return _since_us(began_s)


def is_cacheable(claim: Claim) -> bool:
    """Whether the caller wants an earlier answer, in a mode where one can stand for another."""
    return claim.request.cache and MODES[claim.request.mode].prompt_cache


def cache_key(claim: Claim) -> str:
    """Return the key of a request: its account, and a digest of everything that its answer depends on."""
    request = claim.request
    identity = [
        request.model,
        request.chain(claim.price_version)[0].version,
        request.mode,
        request.provider_mode,
        request.messages,
        request.options,
        request.output_schema,
        request.file_ids,
        claim.max_output_tokens,
    ]
    digest = hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()
    return f"holdfast:{{{claim.account_id}}}:answer:{digest}"


async def _patiently(asked: Awaitable[_T]) -> _T | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asked
    except _AWAY as away:
        _log.info("prompt_cache_away", error=repr(away))
        return None


def _since_us(began_s: float) -> int:
    return round((time.perf_counter() - began_s) * 1e6)
