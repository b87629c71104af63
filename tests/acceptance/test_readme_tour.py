"""The README's tour, pasted as it stands."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from tests.running_instance import RunningInstance

ROOT = Path(__file__).parents[2]
TOUR_TIMEOUT_S = 60


def _tour() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## A tour in five minutes")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def _left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_tour_works_when_pasted(instance: RunningInstance, tmp_path: Path) -> None:
    script = (
        _tour()
        .replace("http://127.0.0.1:8000", instance.url)
        .replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
    )

    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=tmp_path,
        env={**os.environ, "HOLDFAST_DATA_DIR": str(instance.data_dir)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TOUR_TIMEOUT_S):
        output, errors = await process.communicate()

    said = output.decode()
    assert process.returncode == 0, f"{said}\n{errors.decode()}"
    deltas = [json.loads(line) for line in said.splitlines() if line.startswith("{") and '"off"' in line]
    assert (
        "".join(delta["text"] for delta in deltas)
        == "To be frozen, to be spent or to come back: every credit is accounted for."
    )
    assert '"status":"cancelled"' in said
    assert '"partial":true' in said
    confirmations = re.findall(r'\{[^{}]*"confirmed":"9.75"[^{}]*\}', said)
    assert len(confirmations) == 2
    assert confirmations[0] == confirmations[1]
    assert _left_in(tmp_path) == []
