"""Usage and cost as servers that speak the Chat Completions API report them."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Final, cast

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk

from workers.providers.errors import MalformedUsage
from workers.providers.interface import Usage
from workers.providers.usage import checked_tokens, checked_usage

MICRODOLLARS_PER_DOLLAR: Final = 1_000_000
MAX_DOLLARS: Final = 10_000
"""No call costs as much; more is a broken counter."""


def usage_in(chunk: ChatCompletionChunk) -> CompletionUsage | None:
    """Return the usage that a chunk carries, where OpenAI has it or where Groq has it."""
    if chunk.usage is not None:
        return chunk.usage
    found = groq_extra(chunk).get("usage")
    return CompletionUsage.construct(None, **cast("dict[str, object]", found)) if isinstance(found, dict) else None


def groq_extra(chunk: ChatCompletionChunk) -> Mapping[str, object]:
    """Return what Groq adds to a chunk."""
    extra = (chunk.model_extra or {}).get("x_groq")
    return cast("Mapping[str, object]", extra) if isinstance(extra, dict) else {}


def checked_chat_usage(counted: CompletionUsage, *, provider: str) -> Usage:
    """Return reported usage in our words.

    Raises:
        MalformedUsage: a number cannot be.
    """
    prompt_tokens = checked_tokens(provider, "prompt_tokens", counted.prompt_tokens)
    completion_tokens = checked_tokens(provider, "completion_tokens", counted.completion_tokens)
    # Not every server sends a total; the SDK then gives None.
    sent_total_tokens = cast("int | None", counted.total_tokens)
    total_tokens = 0 if sent_total_tokens is None else checked_tokens(provider, "total_tokens", sent_total_tokens)
    of_prompt = counted.prompt_tokens_details
    of_completion = counted.completion_tokens_details
    return checked_usage(
        provider=provider,
        input_tokens=prompt_tokens,
        # Gemini and xAI leave reasoning out of `completion_tokens`, and bill it; the total has it. OpenAI's total is
        # the sum.
        output_tokens=max(completion_tokens, total_tokens - prompt_tokens),
        cache_read_tokens=None if of_prompt is None else of_prompt.cached_tokens,
        cache_write_tokens=None if of_prompt is None else of_prompt.cache_write_tokens,
        reasoning_tokens=None if of_completion is None else of_completion.reasoning_tokens,
    )


def cost_microdollars(counted: CompletionUsage, *, provider: str) -> int | None:
    """Return what the server says the call cost us, rounded up; `None` where it does not say.

    With a key of our own at the company behind it (`is_byok`), that company bills us as well.

    Raises:
        MalformedUsage: it is negative, absurd or no number.
    """
    extra = counted.model_extra or {}
    said = extra.get("cost")
    if said is None:
        return None
    dollars = _dollars(said, provider=provider)
    details = extra.get("cost_details")
    if extra.get("is_byok") is True and isinstance(details, dict):
        upstream = cast("dict[str, object]", details).get("upstream_inference_cost")
        dollars += _dollars(0 if upstream is None else upstream, provider=provider)
    return int((dollars * MICRODOLLARS_PER_DOLLAR).to_integral_value(rounding=ROUND_CEILING))


def _dollars(said: object, *, provider: str) -> Decimal:
    """JSON gave a float; its shortest form is what the server wrote."""
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said <= MAX_DOLLARS:
        return Decimal(repr(said))
    raise MalformedUsage(provider=provider, provider_message=f"the cost is {said!r:.100}")
