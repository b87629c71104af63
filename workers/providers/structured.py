"""Structured output: the model is made to call one tool, and what it calls the tool with is the answer.

Every provider of ours knows tools, while each has another way to be given a schema for its text. The provider does not
promise that the answer satisfies the schema; whoever asked checks that.
"""

from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec

from workers.providers.errors import RequestRejected
from workers.providers.interface import ProviderRequest

STRUCTURED: Final = "structured"
"""The mode."""

TOOL_NAME: Final = "answer"
TOOL_DESCRIPTION: Final = "Give the complete answer to the user as the arguments of this call, in full."

MAX_SCHEMA_BYTES: Final = 65_536
MAX_SCHEMA_DEPTH: Final = 32
"""A schema goes out with every call and is read by a model; more is a mistake or an attack."""

BOUND_TOKENS_PER_TOOL: Final = 1_024
"""What providers add to explain tools to a model is about half of this, besides the tool itself."""


def check_output_schema(request: ProviderRequest, *, provider: str) -> None:
    """Refuse a structured request whose schema no tool could have.

    Raises:
        RequestRejected: it has none, or one that is not of an object, too large or too deep.
    """
    if request.mode != STRUCTURED:
        return
    schema = request.output_schema
    if schema is None:
        raise RequestRejected(provider=provider, provider_message="a structured request needs an output schema")
    if schema.get("type") != "object":
        raise RequestRejected(provider=provider, provider_message='the output schema is not of "type": "object"')
    if any(depth > MAX_SCHEMA_DEPTH for depth in _depths(schema)):
        message = f"the output schema is nested more than {MAX_SCHEMA_DEPTH} deep"
        raise RequestRejected(provider=provider, provider_message=message)
    if _encoded_bytes(schema, provider=provider) > MAX_SCHEMA_BYTES:
        message = f"the output schema has more than {MAX_SCHEMA_BYTES} bytes"
        raise RequestRejected(provider=provider, provider_message=message)


def output_schema(request: ProviderRequest) -> dict[str, object] | None:
    """Return the schema to make a tool of, or `None` where plain text is asked for."""
    return request.output_schema if request.mode == STRUCTURED else None


def schema_text(request: ProviderRequest) -> str:
    """Return the schema as it is sent, to count it; empty where there is none."""
    schema = output_schema(request)
    return "" if schema is None else msgspec.json.encode(schema).decode()


def _depths(schema: Mapping[str, object]) -> Iterator[int]:
    """Yield how deep each value lies. Without recursion, so that no depth of nesting can break it."""
    waiting: list[tuple[object, int]] = [(schema, 1)]
    while waiting:
        value, depth = waiting.pop()
        yield depth
        if depth > MAX_SCHEMA_DEPTH:
            return
        if isinstance(value, dict):
            waiting.extend((inner, depth + 1) for inner in cast("dict[str, object]", value).values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in cast("list[object]", value))


def _encoded_bytes(schema: Mapping[str, object], *, provider: str) -> int:
    try:
        return len(msgspec.json.encode(schema))
    except (UnicodeEncodeError, TypeError) as error:
        raise RequestRejected(provider=provider, provider_message=f"the output schema is no JSON: {error}") from error
