"""A process that writes to the ledger as fast as it can, and seals, and says what was answered; a test kills it.

Usage: python -m tests.faults.ledger_load URL ACCOUNT_ID...
"""

import asyncio
import sys
from uuid import UUID

from ledger import database
from ledger.commands import Command
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from tests.builders import charge, confirm, freeze, rollback

WORKERS_PER_ACCOUNT = 10


async def work(writer: LedgerWriter, account_id: UUID) -> None:
    number = 0
    while True:
        number += 1
        frozen = freeze(7, account_id)
        await write(writer, frozen)
        if number % 2:
            await write(writer, confirm(frozen.freeze_id, 3, account_id))
        else:
            await write(writer, rollback(frozen.freeze_id, account_id))
        await write(writer, charge(1, account_id))


async def write(writer: LedgerWriter, command: Command) -> None:
    await writer.submit(command)
    sys.stdout.write(f"{command.account_id} {command.command_key}\n")
    sys.stdout.flush()


async def seal_always(url: str) -> None:
    async with await database.connect(url) as connection:
        while True:
            await seal(connection)
            await asyncio.sleep(0.002)


async def main(url: str, account_ids: list[UUID]) -> None:
    async with LedgerWriter(url) as writer:
        workers = [work(writer, account_id) for account_id in account_ids for _ in range(WORKERS_PER_ACCOUNT)]
        await asyncio.gather(seal_always(url), *workers)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [UUID(argument) for argument in sys.argv[2:]]))
