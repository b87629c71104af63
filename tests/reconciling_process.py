"""A process of its own that reconciles large books: to be measured, or to be killed while it posts.

`python -m tests.reconciling_process COUNT [--apply] [--narrow] [--stop-after=POSTED]` reconciles the books of
`DATABASE_URL`, writes the report as JSON, and at last, on standard error, the most memory that it had, in bytes. The
window reaches up to now; a narrow one ends with the last payment of the list. Once it has posted as many facts as it is
to stop after, it says `stopped` and stops, in the middle of others, to be killed there.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from ops.errors import CheckFailed
from ops.output import Output
from ops.reconcile_commands import Asked, reconcile_with
from tests.large_books import GATEWAY, LargeBooks, LargeGateway
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact
from workers.payments.gateways.registry import Gateways
from workers.payments.reconciling import posting
from workers.payments.reconciling.reconciliation import Window
from workers.payments.settling import Settled


def largest_memory() -> int:
    """The most bytes of memory that this program had. The kernel's other count goes on from whoever started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (mark,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(mark) * 1_024


def stop_after(posted: int) -> None:
    """Stop this program once it has settled so many facts."""
    settle, left = posting.settle, posted

    async def settle_and_stop(context: PaymentContext, gateway: str, fact: Fact) -> Settled:
        nonlocal left
        settled = await settle(context, gateway, fact)
        left -= 1
        if left == 0:
            print("stopped", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return settled

    posting.settle = settle_and_stop


async def main(count: int, *, apply: bool, is_narrow: bool) -> None:
    books = LargeBooks(count)
    gateways = Gateways({})
    gateways.put(LargeGateway(books))
    window = Window(books.since, books.ends if is_narrow else books.until)
    asked = Asked(gateway=GATEWAY, window=window, apply=apply, with_matched=False, csv_file=None)
    try:
        await reconcile_with(asked, gateways, Path("nowhere"), Output(json=True))
    except CheckFailed as failed:
        sys.stderr.write(f"{failed}\n")
    sys.stderr.write(f"{largest_memory()}\n")


if __name__ == "__main__":
    for word in sys.argv[2:]:
        if word.startswith("--stop-after="):
            stop_after(int(word.partition("=")[2]))
    asyncio.run(main(int(sys.argv[1]), apply="--apply" in sys.argv, is_narrow="--narrow" in sys.argv))
