"""Counting tokens without the provider: a bound for the freeze, and an estimate for a call that was cut.

Neither knows the provider's tokenizer, which for some is not public. The bound must never be too low, because a freeze
that is too small is our loss; the estimate must be fair, because a customer is charged by it.
"""

import unicodedata

from msgspec import structs

from workers.providers.interface import ProviderRequest, Usage
from workers.providers.structured import BOUND_TOKENS_PER_TOOL, schema_text

BOUND_TOKENS_PER_REQUEST = 64
BOUND_TOKENS_PER_MESSAGE = 16
"""What providers add around a conversation and a turn is about half of this (roles, separators, priming)."""

ESTIMATED_TOKENS_PER_MESSAGE = 4


def bound_input_tokens(request: ProviderRequest) -> int:
    """Return an upper bound of the tokens any byte-level tokenizer makes of the conversation and the output schema.

    Pictures are not counted: every provider has a rule of its own. A token stands for at least one byte, so text of n
    UTF-8 bytes has at most n tokens. Some tokenizers normalise first, and NFKC can make text longer (U+FDFA grows from
    3 bytes to 33), so the longer of both forms counts.
    """
    in_messages = sum(_bytes_bound(message.content) + BOUND_TOKENS_PER_MESSAGE for message in request.messages)
    schema = schema_text(request)
    in_tool = _bytes_bound(schema) + BOUND_TOKENS_PER_TOOL if schema else 0
    return BOUND_TOKENS_PER_REQUEST + in_messages + in_tool


def estimate_output_tokens(text: str) -> int:
    """Estimate the tokens that delivered text was: a quarter per ASCII character, a third per byte of any other.

    English comes to about 4 characters a token, Chinese and Japanese to one character, Russian to one and a half. The
    sum is rounded up once, so empty text is 0, anything else at least 1, and longer text never counts less.
    """
    ascii_characters = sum(map(str.isascii, text)) if not text.isascii() else len(text)
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_characters
    return -(-(3 * ascii_characters + 4 * other_bytes) // 12)


def estimate_input_tokens(request: ProviderRequest) -> int:
    """Estimate what was sent in the same way, but for pictures; never above `bound_input_tokens`."""
    in_messages = sum(
        estimate_output_tokens(message.content) + ESTIMATED_TOKENS_PER_MESSAGE for message in request.messages
    )
    return in_messages + estimate_output_tokens(schema_text(request))


def estimate_cut_usage(
    request: ProviderRequest, *, delivered: str, reported: Usage | None, image_tokens: int = 0
) -> Usage:
    """Return the usage of a call that ended without its final report.

    Input is what the provider reported, else counted; a reported 0 counts as not reported, for there is no empty
    request. Output is counted from what was delivered, within the limit that was asked for, unless the provider already
    reported more. Nothing delivered and nothing reported is no usage at all.
    """
    output_tokens = min(estimate_output_tokens(delivered), request.max_output_tokens)
    if not delivered and reported is None:
        return Usage()
    before = reported or Usage()
    return structs.replace(
        before,
        input_tokens=before.input_tokens or estimate_input_tokens(request) + image_tokens,
        output_tokens=max(output_tokens, before.output_tokens),
    )


def _bytes_bound(text: str) -> int:
    if text.isascii():
        return len(text)
    normalised = unicodedata.normalize("NFKC", text)
    return max(len(form.encode("utf-8", "surrogatepass")) for form in (text, normalised))
