"""An audit that is killed: the processes that work for it end with it."""

import asyncio
import os
import sys
from pathlib import Path

from ops.audit.pool import processes

ROOT = Path(__file__).parent.parent.parent
SCRIPT = "import asyncio; from tests.faults.test_audit_killed import audit; asyncio.run(audit())"
JOBS = 2
WITHIN_S = 60


async def last_for_ever(_: None) -> None:
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()


async def audit() -> None:
    async with processes(__name__, total=JOBS, progress=lambda done, total: None) as run:
        await run([(last_for_ever, None)] * JOBS)


async def test_the_processes_of_a_killed_audit_end_with_it() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        assert int(await process.stdout.readline()) != process.pid

        process.kill()

        # All of them write there: it ends when the last of them does.
        await process.stdout.read()
        await process.wait()
