"""A process that rebuilds a read model, a few events at a time, and says so and stops when it has half of them.

Usage: python -m tests.faults.rebuilding_process URL NAME
"""

import asyncio
import os
import signal
import sys

import msgspec

from ledger.database import Database
from projections.catalogue import projection_named
from projections.rebuild import rebuild

EVENTS_AT_A_TIME = 5


def stop_half_way(taken: int, total: int) -> None:
    if 2 * taken >= total:
        print("half way", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)


async def main(url: str, name: str) -> None:
    projection = msgspec.structs.replace(projection_named(name), batch_limit=EVENTS_AT_A_TIME)
    async with Database(url) as database:
        await rebuild(database, projection, progress=stop_half_way)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
