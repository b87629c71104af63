"""Usage as a provider reports it, checked before it can become money."""

from workers.providers.errors import MalformedUsage
from workers.providers.interface import Usage

MAX_TOKENS_PER_CALL = 100_000_000
"""Fifty times the largest context window there is. More is a broken counter, not a long conversation."""


def checked_usage(
    *,
    provider: str,
    input_tokens: object,
    output_tokens: object,
    cache_read_tokens: object = 0,
    cache_write_tokens: object = 0,
    reasoning_tokens: object = 0,
) -> Usage:
    """Build usage from numbers a provider sent. Both totals are required; a part that is `None` is 0.

    Raises:
        MalformedUsage: a number is negative, absurd or no whole number, or more was read from the cache than was read.
    """
    total_input_tokens = checked_tokens(provider, "input_tokens", input_tokens)
    total_output_tokens = checked_tokens(provider, "output_tokens", output_tokens)
    read_tokens = checked_tokens(provider, "cache_read_tokens", 0 if cache_read_tokens is None else cache_read_tokens)
    written_tokens = checked_tokens(
        provider, "cache_write_tokens", 0 if cache_write_tokens is None else cache_write_tokens
    )
    reasoned_tokens = checked_tokens(provider, "reasoning_tokens", 0 if reasoning_tokens is None else reasoning_tokens)
    if read_tokens > total_input_tokens:
        raise MalformedUsage(
            provider=provider,
            provider_message=f"{read_tokens} tokens read from cache, of {total_input_tokens} input tokens",
        )
    return Usage(
        input_tokens=total_input_tokens,
        output_tokens=total_output_tokens,
        cache_read_tokens=read_tokens,
        # OpenAI documents this one as unadjusted: it may overlap what was read. Only the totals say how much there was.
        cache_write_tokens=min(written_tokens, total_input_tokens - read_tokens),
        reasoning_tokens=min(reasoned_tokens, total_output_tokens),
    )


def checked_tokens(provider: str, field: str, value: object) -> int:
    """Return one count of tokens, an int from 0 to `MAX_TOKENS_PER_CALL`.

    Raises:
        MalformedUsage: it is anything else. `True` and `3.0` are not counts.
    """
    if type(value) is not int or not 0 <= value <= MAX_TOKENS_PER_CALL:
        raise MalformedUsage(provider=provider, provider_message=f"{field} is {value!r:.100}")
    return value
