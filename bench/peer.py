"""The peer gateway: LiteLLM's proxy without a database, in a virtual environment of its own outside of the tree.

It is not among our dependencies: `install` fetches it once, only when asked to. Without it the rest is measured alone.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import httpx

from bench.ports import free_port
from bench.provider import PACED, UNPACED

REQUIREMENT: Final = "litellm[proxy]==1.106.2"
INSTALL_TIMEOUT_S: Final = 300
START_TIMEOUT_S: Final = 90
STOP_TIMEOUT_S: Final = 10
POLL_S: Final = 0.25
KEY: Final = "sk-peer"
ABSENT: Final = "LiteLLM's proxy is not here: add --install-peer once"


def install() -> str:
    """Fetch the peer into the cache if it is not there; return what went wrong, or nothing."""
    if _program().exists():
        return ""
    home = _home()
    python = home / "bin" / "python"
    ends_s = time.monotonic() + INSTALL_TIMEOUT_S
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--retries=1", "--timeout=10", REQUIREMENT)
    for command in ((sys.executable, "-m", "venv", "--clear", str(home)), (str(python), *pip)):
        try:
            subprocess.run(  # noqa: S603 - these words and no others
                command, check=True, capture_output=True, timeout=max(1.0, ends_s - time.monotonic())
            )
        except subprocess.CalledProcessError as error:
            return f"{REQUIREMENT} could not be had: {error.stderr.decode(errors='replace').strip()[-200:]}"
        except subprocess.TimeoutExpired:
            return f"{REQUIREMENT} could not be had within {INSTALL_TIMEOUT_S} s"
    return ""


@contextlib.asynccontextmanager
async def peer(provider_url: str) -> AsyncGenerator[int | None]:
    """Run the peer in front of this provider and give its port; `None` if it is not installed.

    Raises:
        RuntimeError: it did not start.
    """
    if not _program().exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-peer-") as path:
        port, log = free_port(), Path(path) / "log"
        configuration = Path(path) / "config.json"
        configuration.write_text(json.dumps(_configuration(provider_url)), encoding="utf-8")
        with log.open("wb") as log_file:
            process = await asyncio.create_subprocess_exec(
                *(str(_program()), f"--config={configuration}", "--host=127.0.0.1", f"--port={port}"),
                # Nothing of ours, and no price list from the network.
                env={"PATH": os.environ.get("PATH", ""), "HOME": path, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
                | {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "NO_PROXY": "127.0.0.1"},
                cwd=path,
                stdout=log_file,
                stderr=log_file,
            )
        try:
            if not await _answers(process, port):
                raise RuntimeError(f"the peer did not start: {log.read_text(errors='replace')[-2_000:]}")
            yield port
        finally:
            await _stop(process)


def _configuration(provider_url: str) -> dict[str, object]:
    """Return the configuration; JSON is YAML too."""
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_base": provider_url, "api_key": "none"},
        }
        for name in (PACED, UNPACED)
    ]
    settings = {"telemetry": False, "num_retries": 0}
    return {"model_list": models, "litellm_settings": settings, "general_settings": {"master_key": KEY}}


async def _answers(process: asyncio.subprocess.Process, port: int) -> bool:
    ends_s = time.monotonic() + START_TIMEOUT_S
    async with httpx.AsyncClient(trust_env=False) as client:
        while process.returncode is None and time.monotonic() < ends_s:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(f"http://127.0.0.1:{port}/health/liveliness")
                if answer.is_success:
                    return True
            await asyncio.sleep(POLL_S)
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(cache) if cache else Path.home() / ".cache") / "holdfast-bench" / "litellm"


def _program() -> Path:
    return _home() / "bin" / "litellm"
