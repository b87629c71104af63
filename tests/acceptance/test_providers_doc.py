"""`docs/providers.md`, followed literally: a provider is added, then models of it and of a built-in one."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer
from tests.running_instance import RunningInstance, running_instance

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
TIMEOUT_S = 60


class ParrotServer(ScriptedServer):
    """The made-up company of the page."""

    def refusal(self, call: Call) -> Answer | None:
        if call.headers.get("authorization") != "Bearer a-key-from-parrot":
            return json_answer(401, {"error": "no such key"})
        return None

    def default(self, call: Call) -> Answer:
        words = re.findall(r"\S+\s*", str(call.body["text"]))
        lines: list[dict[str, object]] = [{"word": word} for word in words]
        lines.append({"done": True, "words_in": len(words), "words_out": len(words)})
        return Answer(
            200, {"content-type": "application/x-ndjson"}, tuple(msgspec.json.encode(it) + b"\n" for it in lines)
        )


def blocks(language: str) -> list[str]:
    """The code on the page that is in one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def settings() -> dict[str, str]:
    """The variables that the page tells to set before Holdfast is started."""
    return dict(re.findall(r"^export (\w+)=(.*)$", "\n".join(blocks("sh")), re.MULTILINE))


@pytest.fixture
async def parrot() -> AsyncIterator[ParrotServer]:
    async with ParrotServer() as server:
        yield server


@pytest.fixture
async def told(tmp_path: Path, parrot: ParrotServer) -> AsyncIterator[RunningInstance]:
    """An instance that was set up as the page says, but for where things are on this machine."""
    directory = tmp_path / "providers"
    directory.mkdir()
    (provider,) = blocks("python")
    (directory / "parrot.py").write_text(provider, encoding="utf-8")
    environment = settings()
    assert set(environment) == {"HOLDFAST_PROVIDER_PATH", "PARROT_API_KEY", "PARROT_BASE_URL"}
    environment |= {"HOLDFAST_PROVIDER_PATH": str(directory), "PARROT_BASE_URL": parrot.url}
    async with running_instance(tmp_path / "data", **environment) as instance:
        yield instance


async def shell(script: str, environment: dict[str, str]) -> str:
    """What a shell says that the script was pasted into."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        env={**os.environ, "PATH": path, "COLUMNS": "1000", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, f"{output.decode()}\n{errors.decode()}"
    return output.decode()


def generations_in(said: str) -> dict[str, dict[str, Any]]:
    """The ended generations that were shown, by their models."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    shown = [decoder.decode(text) for text in re.findall(r"^\{.*\}$", said.replace("}{", "}\n{"), re.MULTILINE)]
    return {each["model"]: each for each in shown if each.get("status") == "completed"}


async def test_the_page_works_when_it_is_followed(told: RunningInstance, parrot: ParrotServer) -> None:
    commands = [block for block in blocks("sh") if "export " not in block]
    script = "\n".join(commands).replace("http://127.0.0.1:8000", told.url)

    ended = generations_in(await shell(script, {"HOLDFAST_DATA_DIR": str(told.data_dir)}))

    assert set(ended) == {"page-writer", "parrot-grey"}
    assert ended["page-writer"]["output"].startswith("# Describe the sea\n")
    assert ended["parrot-grey"]["output"] == "Who is pretty?"
    assert ended["parrot-grey"]["cost"] == "0.009"
    assert ended["parrot-grey"]["usage"]["input_tokens"] == 3
    assert ended["parrot-grey"]["usage"]["output_tokens"] == 3
    (call,) = parrot.calls
    assert call.body == {"text": "Who is pretty?", "max_words": 500}
    assert call.headers["x-holdfast-generation-id"] == ended["parrot-grey"]["id"]


async def test_the_doctor_finds_the_provider_of_the_page(tmp_path: Path) -> None:
    (provider,) = blocks("python")
    (tmp_path / "parrot.py").write_text(provider, encoding="utf-8")
    environment = settings() | {"HOLDFAST_PROVIDER_PATH": str(tmp_path), "HOLDFAST_DATA_DIR": str(tmp_path / "none")}

    without_key = await shell("holdfast doctor || true", {**environment, "PARROT_API_KEY": ""})
    with_key = await shell("holdfast doctor || true", environment)

    assert "parrot (PARROT_API_KEY is not set)" in without_key
    assert "parrot (configured)" in with_key
