"""How servers that speak the Chat Completions API differ from the one that defined it."""

from typing import Literal

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """What one server understands and what it says. The defaults are OpenAI's own."""

    limit_name: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """The newer name counts reasoning as well. A server that does not know it may ignore it, and has no limit then."""
    asks_for_usage: bool = True
    """Whether it knows `stream_options`. Without, it sends usage anyway, or none."""
    forbids_parallel_calls: bool = True
    """Whether it knows `parallel_tool_calls`."""
    says_cost: bool = False
    """Whether `usage.cost` is what the call cost us, in US dollars."""
    counts_pictures_as_openai: bool = True
    """Whether its models make as many tokens of a picture as OpenAI's do."""


OPENAI = Dialect()
