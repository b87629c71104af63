"""A process that settles kept webhooks of the plain gateway, and stops at the n-th of some step to be killed there.

Usage: python -m tests.faults.settling_process URL STEP N

Steps are `asked` (what a webhook says is known, nothing is done), `settled` (all of that is done, the webhook is not
finished) and `finishing` (it is about to be finished).
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.payments import PlainGateway, payments_in
from workers.payments import inbox, processing
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact
from workers.payments.settling import Settled


class Stop:
    """Stops the process at the n-th time that it is at the step."""

    def __init__(self, step: str, left: int) -> None:
        self._step = step
        self._left = left

    def at(self, step: str) -> None:
        if step != self._step:
            return
        self._left -= 1
        if self._left == 0:
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)


class StoppingGateway(PlainGateway):
    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        facts = await super().facts(kind, headers, body)
        self._stop.at("asked")
        return facts


async def main(url: str, step: str, number: int) -> None:
    stop = Stop(step, number)
    settle, finish = processing.settle, inbox.finish

    async def settle_and_stop(context: PaymentContext, gateway: str, fact: Fact) -> Settled:
        settled = await settle(context, gateway, fact)
        stop.at("settled")
        return settled

    async def stop_and_finish(database: Database, ids: Sequence[int]) -> None:
        stop.at("finishing")
        await finish(database, ids)

    processing.settle = settle_and_stop
    inbox.finish = stop_and_finish
    async with Database(url) as database, LedgerWriter(url) as writer:
        context = payments_in(database, writer)
        context.gateways.put(StoppingGateway(stop))
        await processing.InboxProcessor(context).work()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
