"""Checking structured output when it is complete."""

from functools import lru_cache
from typing import Any, Final, cast

import jsonschema_rs
import msgspec

from workers.modes.schemas import compile_schema, depth_of
from workers.providers import ProviderError

MAX_VALUE_DEPTH: Final = 64
COMPILED_LIMIT: Final = 256
MAX_REASON_CHARACTERS: Final = 500


class StructuredInvalid(ProviderError):
    """What the model wrote is not JSON, or does not satisfy the schema."""

    code = "invalid_output"
    message = "The model's answer did not fit the schema, so nothing is charged. Please try again."
    retryable = True


def validate_structured(schema: dict[str, Any], json_text: str, *, provider: str = "") -> object:
    """Return the value that a model wrote, if it satisfies the schema that was asked for.

    Raises:
        StructuredInvalid: it is no JSON, or its `provider_message` says where it does not fit.
    """
    try:
        value = msgspec.json.decode(json_text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise StructuredInvalid(provider=provider, provider_message=f"not JSON: {error}") from None
    if depth_of(value) > MAX_VALUE_DEPTH:
        raise StructuredInvalid(provider=provider, provider_message="nested too deeply")
    error = next(_compiled(msgspec.json.encode(schema, order="sorted")).iter_errors(value), None)
    if error is not None:
        path = "/".join(str(step) for step in error.instance_path)
        reason = f"/{path}: {error.message}"[:MAX_REASON_CHARACTERS]
        raise StructuredInvalid(provider=provider, provider_message=reason)
    return cast("object", value)


@lru_cache(maxsize=COMPILED_LIMIT)
def _compiled(encoded: bytes) -> jsonschema_rs.Draft202012Validator:
    return compile_schema(msgspec.json.decode(encoded))
