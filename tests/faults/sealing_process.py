"""A process that seals for ever; a test kills it.

Usage: python -m tests.faults.sealing_process URL
"""

import asyncio
import sys

from ledger import database
from ledger.sealer import Sealer


async def main(url: str) -> None:
    sealer = Sealer()
    async with await database.connect(url) as connection:
        while True:
            await sealer.seal(connection)
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
