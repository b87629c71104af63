"""Any server that speaks OpenAI's Chat Completions API, by configuration alone.

`HOLDFAST_COMPATIBLE_PROVIDERS=groq,openrouter,my-gpu` switches providers on. Each takes its key from `<NAME>_API_KEY`
and its address from `<NAME>_BASE_URL` (`MY_GPU_BASE_URL`). Those in `KNOWN` have an address and a dialect of their own;
any other name is a server that speaks as OpenAI does, needs an address and may do without a key.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from msgspec import Struct

from workers.providers.factories import Configuration, ProviderFactory, setting
from workers.providers.interface import Provider
from workers.providers.openai.dialect import Dialect

PROVIDERS_VARIABLE: Final = "HOLDFAST_COMPATIBLE_PROVIDERS"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_NAME_CHARACTERS: Final = 40


class Known(Struct, frozen=True, kw_only=True):
    """A company or a program whose server is known."""

    description: str
    base_url: str = ""
    """Empty where everyone runs their own."""
    key_required: bool = True
    dialect: Dialect = Dialect()


_PLAIN = Dialect(limit_name="max_tokens", forbids_parallel_calls=False, counts_pictures_as_openai=False)
"""What the widest range of servers understands."""

KNOWN: Final[Mapping[str, Known]] = {
    "gemini": Known(
        description="Gemini models through Google's OpenAI-compatible API.",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
        dialect=Dialect(forbids_parallel_calls=False, counts_pictures_as_openai=False),
    ),
    "groq": Known(
        description="Open models on Groq's own chips.",
        base_url="https://api.groq.com/openai/v1",
        # Usage comes unasked, in `x_groq`.
        dialect=Dialect(asks_for_usage=False, counts_pictures_as_openai=False),
    ),
    "featherless": Known(
        description="Open models from Featherless.",
        base_url="https://api.featherless.ai/v1",
        dialect=_PLAIN,
    ),
    "openrouter": Known(
        description="Models of many companies through OpenRouter.",
        base_url="https://openrouter.ai/api/v1",
        dialect=Dialect(limit_name="max_tokens", says_cost=True, counts_pictures_as_openai=False),
    ),
    "litellm": Known(
        description="Models behind a LiteLLM proxy.",
        base_url="http://localhost:4000/v1",
        dialect=Dialect(limit_name="max_tokens", counts_pictures_as_openai=False),
    ),
    "vllm": Known(
        # Without an address of its own: vLLM listens on the port that we listen on.
        description="Open models on a vLLM server.",
        key_required=False,
        dialect=_PLAIN,
    ),
    "ollama": Known(
        description="Open models on an Ollama server.",
        base_url="http://localhost:11434/v1",
        key_required=False,
        dialect=_PLAIN,
    ),
}
"""Differences that these servers document. A new one is a line here, or none at all."""


def factories(environment: Mapping[str, str]) -> Iterator[ProviderFactory]:
    """Offer every server we know of, and those that the environment names."""
    named = [name for name in map(str.strip, setting(environment, PROVIDERS_VARIABLE).split(",")) if name]
    for name in dict.fromkeys((*KNOWN, *named)):
        yield _factory(name, is_named=name in named)


def _factory(name: str, *, is_named: bool) -> ProviderFactory:
    known = KNOWN.get(name) or Known(description=f"Models of the server {name}.", key_required=False, dialect=_PLAIN)
    prefix = name.upper().replace("-", "_")
    return ProviderFactory(
        name=name,
        make=partial(_make, name, known),
        key_variable=f"{prefix}_API_KEY",
        key_required=known.key_required,
        base_url_variable=f"{prefix}_BASE_URL",
        default_base_url=known.base_url,
        misconfigured=_misconfigured(name, is_named=is_named),
    )


def _misconfigured(name: str, *, is_named: bool) -> str:
    if not is_named:
        return f"{PROVIDERS_VARIABLE} does not name it"
    if _NAME.fullmatch(name) is None or len(name) > MAX_NAME_CHARACTERS:
        return f"{PROVIDERS_VARIABLE} names it, but names are of lower-case letters, digits and single dashes"
    return ""


def _make(name: str, known: Known, configuration: Configuration) -> Provider:
    # Imported on first use, because the SDK takes up to a second to import.
    from workers.providers.openai.chat import OpenAIChat  # noqa: PLC0415

    return OpenAIChat(
        api_key=configuration.api_key,
        base_url=configuration.base_url,
        name=name,
        description=known.description,
        dialect=known.dialect,
    )
