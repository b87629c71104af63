"""What the chunks of a Chat Completions stream mean."""

from collections.abc import Iterable, Iterator
from typing import cast

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDeltaToolCall

from workers.providers.delivery import Delivery
from workers.providers.errors import ContentRefused, MalformedResponse, Truncated, Unavailable
from workers.providers.interface import Chunk, Finished, FinishReason, Usage, UsageReport
from workers.providers.openai.chat_usage import checked_chat_usage, cost_microdollars, groq_extra, usage_in

PATIENCE_FOR_USAGE_S = 5.0
"""Usage comes in a chunk of its own, after the `finish_reason`. Without it we would have to estimate."""

PATIENCE_AFTER_USAGE_S = 0.1
"""Only `[DONE]` follows; waiting for the end of the body lets the connection be used again."""

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
}
_REASONS_WITH_TOOLS = frozenset({"tool_calls", "function_call"})


class ChatReading:
    """One Chat Completions stream. Complete once a choice has a `finish_reason`; a stream may end cleanly before."""

    def __init__(self, delivery: Delivery, *, provider: str, says_cost: bool) -> None:
        self._delivery = delivery
        self._provider = provider
        self._says_cost = says_cost
        self._refusal: list[str] = []
        self._call_index: int | None = None
        self._usage: Usage | None = None
        self._usage_is_final = False
        self._cost_microdollars: int | None = None
        self._finish_reason: str | None = None

    @property
    def patience_s(self) -> float | None:
        """See `Reading.patience_s`."""
        if self._finish_reason is None:
            return None
        return PATIENCE_AFTER_USAGE_S if self._usage_is_final else PATIENCE_FOR_USAGE_S

    def feed(self, event: ChatCompletionChunk) -> Iterable[Chunk]:
        """Yield the chunks of one event. Usage has one of its own, without choices; some gateways put it in all."""
        counted = usage_in(event)
        # Documented as always there, but some servers leave the empty list out, and the SDK then gives None.
        choices = cast("list[Choice] | None", event.choices)
        if choices is None and counted is None:
            raise MalformedResponse(provider=self._provider, provider_message="a chunk has no choices")
        for choice in choices or ():
            # Gemini leaves the index out.
            if cast("int | None", choice.index) in {0, None}:
                yield from self._read_choice(choice)
        if isinstance(error := groq_extra(event).get("error"), str):
            raise Unavailable(provider=self._provider, provider_message=error, status=200)
        if counted is not None:
            self._usage, self._usage_is_final = checked_chat_usage(counted, provider=self._provider), True
            if self._says_cost:
                self._cost_microdollars = cost_microdollars(counted, provider=self._provider)
            yield UsageReport(usage=self._usage, final=False, cost_microdollars=self._cost_microdollars)

    def end(self) -> Iterator[Chunk]:
        """Yield the final usage and why it ended. See `Reading.end`."""
        if self._finish_reason is None:
            raise Truncated(provider=self._provider, provider_message="the stream ended without a finish_reason")
        yield from self._delivery.rest()
        report = self._delivery.final_report if self._usage_is_final else self._delivery.estimated_report
        yield report(self._usage, cost_microdollars=self._cost_microdollars)
        if self._finish_reason == "content_filter" or self._refusal:
            message = "".join(self._refusal) or self._finish_reason
            raise ContentRefused(provider=self._provider, provider_message=message)
        if self._finish_reason == "error":
            raise Unavailable(provider=self._provider, provider_message="finish_reason is error", status=200)
        if self._finish_reason in _REASONS_WITH_TOOLS and not self._delivery.structured:
            message = f"finish_reason is {self._finish_reason}, but no tool was offered"
            raise MalformedResponse(provider=self._provider, provider_message=message)
        finished = _FINISH_REASONS.get(self._finish_reason, "other")
        if finished == "stop":
            self._delivery.check_answer()
        yield Finished(reason=finished, provider_reason=self._finish_reason)

    def _read_choice(self, choice: Choice) -> Iterator[Chunk]:
        if choice.delta.content or choice.delta.tool_calls:
            # Usage that came before does not count this; what is in the same chunk is read afterwards.
            self._usage_is_final = False
        if choice.delta.content:
            yield from self._delivery.text(choice.delta.content)
        for call in choice.delta.tool_calls or ():
            yield from self._read_call(call)
        if choice.delta.refusal:
            self._refusal.append(choice.delta.refusal)
        if choice.finish_reason is not None:
            self._finish_reason = choice.finish_reason

    def _read_call(self, call: ChoiceDeltaToolCall) -> Iterator[Chunk]:
        """Deliver the arguments of the first call; a second one is none of the answer."""
        index = cast("int | None", call.index) or 0
        if self._call_index is None:
            self._call_index = index
        if index == self._call_index and call.function is not None and call.function.arguments:
            yield from self._delivery.json(call.function.arguments)
