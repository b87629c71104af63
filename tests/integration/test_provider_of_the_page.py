"""The example provider of docs/providers.md fails as providers are to fail."""

import importlib.util
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.scripted_server import Answer, Cut, Hang, ScriptedServer, Step, json_answer, no_answer
from tests.provider_calls import a_request, outcome_of
from workers.providers import Provider, ProviderError, Timeouts, Usage
from workers.providers.errors import (
    AuthenticationFailed,
    MalformedResponse,
    MalformedUsage,
    Overloaded,
    RateLimited,
    RequestRejected,
    TimedOut,
    Truncated,
    Unavailable,
)
from workers.providers.factories import ProviderFactory

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
WORD = b'{"word": "hello "}\n'
DONE = b'{"done": true, "words_in": 2, "words_out": 1}\n'
NO_TEXT = Timeouts(first_token_s=0.2, gap_s=5, total_s=5)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
async def parrot(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[Provider]:
    """The provider of the page, loaded from a file of its own."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "parrot.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("parrot_of_the_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    factory = module.FACTORY
    assert isinstance(factory, ProviderFactory)
    environment = {"PARROT_API_KEY": "key", "PARROT_BASE_URL": server.url}
    assert factory.problem({}) == "PARROT_API_KEY is not set"
    provider = factory.make(factory.configuration(environment))
    yield provider
    await provider.aclose()


def says(*steps: Step, ends_cleanly: bool = True) -> Answer:
    return Answer(200, {"content-type": "application/x-ndjson"}, steps, ends_cleanly)


async def test_an_answer_that_is_done_completes(parrot: Provider, server: ScriptedServer) -> None:
    server.script(says(WORD, DONE))

    outcome = await outcome_of(parrot, a_request("hello there"))

    assert outcome.text == "hello "
    assert outcome.usage == Usage(input_tokens=2, output_tokens=1)
    assert outcome.finished is not None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_answer(429, {"error": "slow down"}, retry_after="7"), RateLimited),
        (json_answer(429, {"error": "slow down"}), RateLimited),
        (json_answer(500, {"error": "oops"}), Unavailable),
        (json_answer(529, {"error": "busy"}), Overloaded),
        (json_answer(401, {"error": "who?"}), AuthenticationFailed),
        (json_answer(422, {"error": "what?"}), RequestRejected),
        (no_answer(Cut()), Unavailable),
        (says(WORD, Cut()), Truncated),
        (says(WORD), Truncated),
        (says(WORD, ends_cleanly=False), Truncated),
        (says(WORD, b"no json\n"), MalformedResponse),
        (says(WORD, b'{"done": true}\n'), MalformedUsage),
        (says(WORD, b'{"done": true, "words_in": -1, "words_out": 1}\n'), MalformedUsage),
        (says(WORD[:5], Hang()), TimedOut),
    ],
)
async def test_every_fault_becomes_its_error(
    parrot: Provider, server: ScriptedServer, answer: Answer, kind: type[ProviderError]
) -> None:
    server.script(answer)
    timeouts = NO_TEXT if kind is TimedOut else None

    outcome = await outcome_of(parrot, a_request("hello there", timeouts=timeouts))

    assert type(outcome.failure) is kind
    assert outcome.failure.ambiguous == (answer.has_head is False)
    if "retry-after" in answer.headers:
        assert outcome.failure.retry_after_s == 7


async def test_what_it_could_never_repeat_is_refused(parrot: Provider) -> None:
    with pytest.raises(RequestRejected):
        parrot.check(a_request(options={"effort": "low"}))
