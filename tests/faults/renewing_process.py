"""A process that renews at YooKassa what is due, and stops at some step to be killed there.

Usage: python -m tests.faults.renewing_process URL STEP

Steps are `claimed` (nothing is written), `placed` (the order is), `charged` (YooKassa has the money, and nobody knows)
and `settled` (all is done, and not said). Where YooKassa is, the environment says.
"""

import asyncio
import os
import signal
import sys

from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact, PaymentFact
from workers.payments.gateway import Declined
from workers.payments.gateways.registry import Gateways
from workers.payments.orders import Order
from workers.payments.settling import Settled, settle
from workers.payments.subscriptions import charging, renewing
from workers.payments.subscriptions.charging import Renewal
from workers.payments.subscriptions.renewing import Renewals


async def main(url: str, step: str) -> None:
    def stop_at(reached: str) -> None:
        if reached == step:
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

    async def place(database: Database, renewal: Renewal) -> Order | None:
        stop_at("claimed")
        order = await charging.place(database, renewal)
        stop_at("placed")
        return order

    async def charge(context: PaymentContext, renewal: Renewal, order: Order) -> PaymentFact | Declined:
        fact = await charging.charge(context, renewal, order)
        stop_at("charged")
        return fact

    async def settle_and_stop(context: PaymentContext, gateway: str, fact: Fact) -> Settled:
        settled = await settle(context, gateway, fact)
        stop_at("settled")
        return settled

    renewing.place, renewing.charge, renewing.settle = place, charge, settle_and_stop
    gateways = Gateways(os.environ)
    async with Database(url) as database, LedgerWriter(url) as writer:
        await Renewals({}).run(PaymentContext(database, writer, gateways))
    await gateways.aclose()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
