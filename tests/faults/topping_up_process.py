"""A process that tops accounts up once, and stops at a step to be killed there.

Usage: python -m tests.faults.topping_up_process URL NOW_US STEP, with Stripe's settings in the environment

Steps are `written` (the attempt is, nobody was asked), `asking` (the gateway is about to be asked), `charged` (it has
answered), `settled` (the credits are there) and `ended` (all is done). Any other word is never come to.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.payments.auto_top_up import topping_up
from workers.payments.context import PaymentContext
from workers.payments.gateways.registry import Gateways
from workers.payments.gateways.stripe import purchases

P = ParamSpec("P")
T = TypeVar("T")


class Stop:
    """Stops the process at one step."""

    def __init__(self, step: str) -> None:
        self._step = step

    def at(self, step: str) -> None:
        if step == self._step:
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

    def before(self, step: str, work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def stopped(*args: P.args, **kwargs: P.kwargs) -> T:
            self.at(step)
            return await work(*args, **kwargs)

        return stopped

    def after(self, step: str, work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def stopped(*args: P.args, **kwargs: P.kwargs) -> T:
            done = await work(*args, **kwargs)
            self.at(step)
            return done

        return stopped


async def main(url: str, now_us: int, step: str) -> None:
    stop = Stop(step)
    topping_up.note_try = stop.before("written", topping_up.note_try)
    purchases.charge_saved = stop.before("asking", stop.after("charged", purchases.charge_saved))
    topping_up.settle = stop.after("settled", topping_up.settle)
    topping_up.end_attempt = stop.after("ended", topping_up.end_attempt)
    async with Database(url) as database, LedgerWriter(url) as writer:
        context = PaymentContext(database, writer, Gateways(os.environ))
        await topping_up.top_up_accounts(context, clock_us=lambda: now_us)
        await context.gateways.aclose()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
