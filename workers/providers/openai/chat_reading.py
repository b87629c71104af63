"""What the chunks of an OpenAI Chat Completions stream mean."""

from collections.abc import Iterable, Iterator
from typing import cast

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk

from workers.providers.errors import ContentRefused, MalformedResponse, Truncated
from workers.providers.interface import Chunk, Finished, FinishReason, ProviderRequest, TextDelta, Usage, UsageReport
from workers.providers.surrogates import SurrogateJoiner
from workers.providers.tokens import estimate_cut_usage
from workers.providers.usage import checked_tokens, checked_usage

PROVIDER = "openai"

PATIENCE_FOR_USAGE_S = 5.0
"""Usage comes in a chunk of its own, after the `finish_reason`. Without it we would have to estimate."""

PATIENCE_AFTER_USAGE_S = 0.1
"""Only `[DONE]` follows; waiting for the end of the body lets the connection be used again."""

_FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_REASONS_WITH_TOOLS = frozenset({"tool_calls", "function_call"})
"""We offer no tools, so an answer that waits for one is not an answer."""


class ChatReading:
    """One Chat Completions stream. Complete once a choice has a `finish_reason`; a stream may end cleanly before."""

    def __init__(self, request: ProviderRequest) -> None:
        self._request = request
        self._text = SurrogateJoiner()
        self._delivered: list[str] = []
        self._refusal: list[str] = []
        self._usage: Usage | None = None
        self._finish_reason: str | None = None

    @property
    def patience_s(self) -> float | None:
        """See `Reading.patience_s`."""
        if self._finish_reason is None:
            return None
        return PATIENCE_FOR_USAGE_S if self._usage is None else PATIENCE_AFTER_USAGE_S

    def feed(self, event: ChatCompletionChunk) -> Iterable[Chunk]:
        """Yield the chunks of one event. Usage has one of its own, without choices; some gateways put it in all."""
        for choice in event.choices:
            if choice.index != 0:
                continue
            if choice.delta.content and (whole := self._text.push(choice.delta.content)):
                self._delivered.append(whole)
                yield TextDelta(whole)
            if choice.delta.refusal:
                self._refusal.append(choice.delta.refusal)
            if choice.finish_reason is not None:
                self._finish_reason = choice.finish_reason
        if event.usage is not None:
            self._usage = _usage(event.usage)
            yield UsageReport(usage=self._usage, final=False)

    def end(self) -> Iterator[Chunk]:
        """Yield the final usage and why it ended. See `Reading.end`."""
        if self._finish_reason is None:
            raise Truncated(provider=PROVIDER, provider_message="the stream ended without a finish_reason")
        if rest := self._text.flush():
            self._delivered.append(rest)
            yield TextDelta(rest)
        yield self._final_report()
        if self._finish_reason == "content_filter" or self._refusal:
            raise ContentRefused(provider=PROVIDER, provider_message="".join(self._refusal) or self._finish_reason)
        if self._finish_reason in _REASONS_WITH_TOOLS:
            raise MalformedResponse(provider=PROVIDER, provider_message=f"finish_reason is {self._finish_reason}")
        yield Finished(reason=_FINISH_REASONS.get(self._finish_reason, "other"), provider_reason=self._finish_reason)

    def _final_report(self) -> UsageReport:
        if self._usage is not None:
            return UsageReport(usage=self._usage, final=True)
        delivered = "".join(self._delivered)
        usage = estimate_cut_usage(self._request, delivered=delivered, reported=None)
        return UsageReport(usage=usage, final=True, estimated=True)


def _usage(counted: CompletionUsage) -> Usage:
    prompt_tokens = checked_tokens(PROVIDER, "prompt_tokens", counted.prompt_tokens)
    completion_tokens = checked_tokens(PROVIDER, "completion_tokens", counted.completion_tokens)
    # Not every server sends a total; the SDK then gives None.
    sent_total_tokens = cast("int | None", counted.total_tokens)
    total_tokens = 0 if sent_total_tokens is None else checked_tokens(PROVIDER, "total_tokens", sent_total_tokens)
    of_prompt = counted.prompt_tokens_details
    of_completion = counted.completion_tokens_details
    return checked_usage(
        provider=PROVIDER,
        input_tokens=prompt_tokens,
        # Gemini and xAI leave reasoning out of `completion_tokens`, and bill it; the total has it. OpenAI's total is
        # the sum.
        output_tokens=max(completion_tokens, total_tokens - prompt_tokens),
        cache_read_tokens=None if of_prompt is None else of_prompt.cached_tokens,
        cache_write_tokens=None if of_prompt is None else of_prompt.cache_write_tokens,
        reasoning_tokens=None if of_completion is None else of_completion.reasoning_tokens,
    )
