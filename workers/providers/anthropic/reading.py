"""What the events of an Anthropic Messages stream mean."""

from collections.abc import Iterable, Iterator
from typing import cast

from anthropic.types import (
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawMessageDeltaEvent,
    RawMessageStreamEvent,
)
from anthropic.types import Usage as UsageAtStart
from anthropic.types.message_delta_usage import MessageDeltaUsage

from workers.providers.delivery import Delivery
from workers.providers.errors import ContentRefused, MalformedResponse, Truncated
from workers.providers.interface import Chunk, Finished, FinishReason, Usage, UsageReport
from workers.providers.usage import checked_tokens, checked_usage

PROVIDER = "anthropic"

PATIENCE_AFTER_STOP_S = 0.1
"""`message_stop` is the last event; waiting for the end of the body as well lets the connection be used again."""

_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}


class MessageReading:
    """One Messages stream. Complete at `message_stop`, and not before: a stream may end cleanly in the middle."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._answer_block: int | None = None
        self._usage: Usage | None = None
        self._uncached_input_tokens = 0
        self._usage_is_final = False
        self._stop_reason: str | None = None
        self._refusal = ""
        self._stopped = False

    @property
    def patience_s(self) -> float | None:
        """See `Reading.patience_s`."""
        return PATIENCE_AFTER_STOP_S if self._stopped else None

    def feed(self, event: RawMessageStreamEvent) -> Iterable[Chunk]:
        """Yield the chunks of one event. Events we do not know are new features of the API and mean nothing to us."""
        match event.type:
            case "message_start":
                yield self._report(event.message.usage)
            case "content_block_start":
                yield from self._start_block(event)
            case "content_block_delta":
                yield from self._read_delta(event)
            case "message_delta":
                yield from self._read_message_delta(event)
            case "message_stop":
                self._stopped = True
            case _:
                pass

    def end(self) -> Iterator[Chunk]:
        """Yield the final usage and why it ended. See `Reading.end`."""
        if not self._stopped:
            raise Truncated(provider=PROVIDER, provider_message="the stream ended without message_stop")
        if self._answer_block is not None and not self._delivery.has_json:
            # A tool that is called without arguments has no deltas at all.
            yield from self._delivery.json("{}")
        yield from self._delivery.rest()
        report = self._delivery.final_report if self._usage_is_final else self._delivery.estimated_report
        yield report(self._usage)
        if self._stop_reason == "refusal":
            raise ContentRefused(provider=PROVIDER, provider_message=self._refusal)
        is_unasked_tool = self._stop_reason == "tool_use" and self._answer_block is None
        if self._stop_reason is None or self._stop_reason == "pause_turn" or is_unasked_tool:
            raise MalformedResponse(provider=PROVIDER, provider_message=f"stop_reason is {self._stop_reason}")
        finished = _FINISH_REASONS.get(self._stop_reason, "other")
        if finished == "stop":
            self._delivery.check_answer()
        yield Finished(reason=finished, provider_reason=self._stop_reason)

    def _start_block(self, event: RawContentBlockStartEvent) -> Iterator[Chunk]:
        if event.content_block.type == "text":
            yield from self._delivery.text(event.content_block.text)
        elif event.content_block.type == "tool_use" and self._delivery.structured and self._answer_block is None:
            self._answer_block = event.index

    def _read_delta(self, event: RawContentBlockDeltaEvent) -> Iterator[Chunk]:
        self._usage_is_final = False
        if event.delta.type == "text_delta":
            yield from self._delivery.text(event.delta.text)
        elif event.delta.type == "input_json_delta" and event.index == self._answer_block:
            yield from self._delivery.json(event.delta.partial_json)

    def _read_message_delta(self, event: RawMessageDeltaEvent) -> Iterator[Chunk]:
        if event.delta.stop_reason is not None:
            self._stop_reason = event.delta.stop_reason
        if event.delta.stop_details is not None:
            details = event.delta.stop_details
            self._refusal = f"{details.category}: {details.explanation}"
        # Documented as always there, but gateways leave it out, and the SDK then gives None.
        usage = cast("MessageDeltaUsage | None", event.usage)
        if usage is not None:
            self._usage_is_final = True
            yield self._report(usage)

    def _report(self, counted: UsageAtStart | MessageDeltaUsage) -> UsageReport:
        """Every number is cumulative, so it replaces the one before; one that is left out keeps it."""
        before = self._usage or Usage()
        if counted.input_tokens is not None:
            self._uncached_input_tokens = checked_tokens(PROVIDER, "input_tokens", counted.input_tokens)
        read = _latest("cache_read_input_tokens", counted.cache_read_input_tokens, before.cache_read_tokens)
        written = _latest("cache_creation_input_tokens", counted.cache_creation_input_tokens, before.cache_write_tokens)
        details = counted.output_tokens_details
        self._usage = checked_usage(
            provider=PROVIDER,
            input_tokens=self._uncached_input_tokens + read + written,
            output_tokens=counted.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=before.reasoning_tokens if details is None else details.thinking_tokens,
        )
        return UsageReport(usage=self._usage, final=False)


def _latest(field: str, counted: int | None, before: int) -> int:
    return before if counted is None else checked_tokens(PROVIDER, field, counted)
