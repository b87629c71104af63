"""What one call has said so far, whatever the wire format: text or JSON out, and what it all comes to at the end."""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from workers.providers.errors import MalformedResponse
from workers.providers.interface import JsonDelta, TextDelta, Usage, UsageReport
from workers.providers.surrogates import SurrogateJoiner


class Estimate(Protocol):
    """`Provider.estimate_usage` of one request."""

    def __call__(self, *, delivered: str, reported: Usage | None) -> Usage:
        """Return what to bill for a call whose usage is not known in full."""
        ...


class Delivery:
    """Makes deltas of what arrives. In a structured call only JSON is delivered; text around it is counted."""

    def __init__(self, *, provider: str, structured: bool, estimate: Estimate) -> None:
        self._provider = provider
        self.structured = structured
        """A structured answer was asked for."""
        self._estimate = estimate
        self._text = SurrogateJoiner()
        self._json = SurrogateJoiner()
        self._said: list[str] = []
        self._answer: list[str] = []

    @property
    def has_json(self) -> bool:
        """Some of a structured answer has arrived."""
        return bool(self._answer)

    def text(self, piece: str) -> Iterator[TextDelta]:
        """Yield what can be delivered of a piece of text."""
        yield from self._text_delta(self._text.push(piece))

    def json(self, piece: str) -> Iterator[JsonDelta]:
        """Yield what can be delivered of a piece of a structured answer; nothing where none was asked for."""
        if self.structured:
            yield from self._json_delta(self._json.push(piece))

    def rest(self) -> Iterator[TextDelta | JsonDelta]:
        """Yield what is left at the end."""
        yield from self._text_delta(self._text.flush())
        yield from self._json_delta(self._json.flush())

    def final_report(self, reported: Usage | None, *, cost_microdollars: int | None = None) -> UsageReport:
        """Return the last report: the provider's usage, or an estimate where it gave none that can be.

        A provider that says 0 for what was certainly there has not counted. `reported` is the usage of the whole call.
        """
        said = "".join(self._said)
        if reported is not None and reported.input_tokens and (reported.output_tokens or not said):
            return UsageReport(usage=reported, final=True, cost_microdollars=cost_microdollars)
        return self.estimated_report(reported, cost_microdollars=cost_microdollars)

    def estimated_report(self, reported: Usage | None, *, cost_microdollars: int | None = None) -> UsageReport:
        """Return the last report of a call that gave its usage in part or not at all."""
        usage = self._estimate(delivered="".join(self._said), reported=reported)
        return UsageReport(usage=usage, final=True, estimated=True, cost_microdollars=cost_microdollars)

    def check_answer(self) -> None:
        """Make sure that a structured call that is complete has a complete answer.

        Raises:
            MalformedResponse: the model answered in words instead, or with what is no JSON.
        """
        if not self.structured:
            return
        if not self._answer:
            raise MalformedResponse(
                provider=self._provider, provider_message="the model answered in words, not in JSON"
            )
        try:
            msgspec.json.decode("".join(self._answer))
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise MalformedResponse(
                provider=self._provider, provider_message=f"the answer is no JSON: {error}"
            ) from error

    def _text_delta(self, whole: str) -> Iterator[TextDelta]:
        if whole:
            self._said.append(whole)
            if not self.structured:
                yield TextDelta(whole)

    def _json_delta(self, whole: str) -> Iterator[JsonDelta]:
        if whole:
            self._said.append(whole)
            self._answer.append(whole)
            yield JsonDelta(whole)
