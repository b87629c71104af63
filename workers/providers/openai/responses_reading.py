"""What the events of a Responses stream mean."""

from collections.abc import Iterable, Iterator
from typing import cast

from openai.types.responses import (
    Response,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseStreamEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from workers.providers.delivery import Delivery
from workers.providers.errors import ContentRefused, MalformedResponse, Truncated
from workers.providers.interface import Chunk, Finished, FinishReason, Usage
from workers.providers.openai.errors import kind_of
from workers.providers.usage import checked_usage

PATIENCE_AFTER_END_S = 0.1
"""Nothing follows the terminal event; waiting for the end of the body lets the connection be used again."""

_FINISH_REASONS: dict[str, FinishReason] = {"max_output_tokens": "length"}


class ResponseReading:
    """One Responses stream. Complete with `response.completed`, `.incomplete` or `.failed`, the last event of all."""

    def __init__(self, delivery: Delivery, *, provider: str) -> None:
        self._delivery = delivery
        self._provider = provider
        self._refusal: list[str] = []
        self._call_index: int | None = None
        self._response: Response | None = None
        self._ended_as = ""
        self._usage: Usage | None = None

    @property
    def patience_s(self) -> float | None:
        """See `Reading.patience_s`."""
        return None if self._response is None else PATIENCE_AFTER_END_S

    def feed(self, event: ResponseStreamEvent) -> Iterable[Chunk]:
        """Yield the chunks of one event. Events we do not know are new features of the API and mean nothing to us."""
        match event.type:
            case "response.output_text.delta":
                yield from self._delivery.text(event.delta)
            case "response.refusal.delta":
                self._refusal.append(event.delta)
            case "response.output_item.added":
                if event.item.type == "function_call" and self._call_index is None:
                    self._call_index = event.output_index
            case "response.function_call_arguments.delta" | "response.function_call_arguments.done":
                yield from self._read_arguments(event)
            case "response.completed" | "response.incomplete" | "response.failed":
                counted = event.response.usage
                self._usage = None if counted is None else _checked(counted, provider=self._provider)
                self._ended_as, self._response = event.type, event.response
            case "error":
                kind = kind_of(code=event.code, type_=None, status=200)
                raise kind(provider=self._provider, provider_message=event.message or "", status=200)
            case _:
                pass

    def end(self) -> Iterator[Chunk]:
        """Yield the final usage and why it ended. See `Reading.end`."""
        response = self._response
        if response is None:
            raise Truncated(provider=self._provider, provider_message="the stream ended without a terminal event")
        yield from self._delivery.rest()
        if self._ended_as == "response.failed":
            if self._usage is not None:
                yield self._delivery.final_report(self._usage)
            error = response.error
            kind = kind_of(code=None if error is None else error.code, type_=None, status=200)
            message = "the response failed" if error is None else error.message
            raise kind(provider=self._provider, provider_message=message, status=200)
        yield self._delivery.final_report(self._usage)
        yield from self._ending(response)

    def _read_arguments(
        self, event: ResponseFunctionCallArgumentsDeltaEvent | ResponseFunctionCallArgumentsDoneEvent
    ) -> Iterator[Chunk]:
        """Deliver the arguments of the first call; a second one is none of the answer."""
        if event.output_index != self._call_index:
            return
        if event.type == "response.function_call_arguments.delta":
            yield from self._delivery.json(event.delta)
        elif not self._delivery.has_json:
            # Some servers send no deltas for a call.
            yield from self._delivery.json(event.arguments)

    def _ending(self, response: Response) -> Iterator[Chunk]:
        details = response.incomplete_details
        reason = "" if details is None else details.reason or "incomplete"
        if reason == "content_filter" or self._refusal:
            raise ContentRefused(provider=self._provider, provider_message="".join(self._refusal) or reason)
        if self._ended_as == "response.completed":
            if self._call_index is not None and not self._delivery.structured:
                raise MalformedResponse(
                    provider=self._provider, provider_message="it called a tool, but none was offered"
                )
            self._delivery.check_answer()
            yield Finished(reason="stop", provider_reason="completed")
        else:
            yield Finished(reason=_FINISH_REASONS.get(reason, "other"), provider_reason=reason or "incomplete")


def _checked(counted: ResponseUsage, *, provider: str) -> Usage:
    # Documented as always there, but servers that only speak as OpenAI does leave them out; the SDK then gives None.
    of_input = cast("InputTokensDetails | None", counted.input_tokens_details)
    of_output = cast("OutputTokensDetails | None", counted.output_tokens_details)
    return checked_usage(
        provider=provider,
        input_tokens=counted.input_tokens,
        output_tokens=counted.output_tokens,
        cache_read_tokens=None if of_input is None else of_input.cached_tokens,
        cache_write_tokens=None if of_input is None else of_input.cache_write_tokens,
        reasoning_tokens=None if of_output is None else of_output.reasoning_tokens,
    )
