"""A process of its own that reconciles large books: to be measured, or to be killed while it posts.

`python -m tests.reconciling_process COUNT [--apply] [--narrow]` reconciles the books of `DATABASE_URL`, writes the
report as JSON, and at last, on standard error, the most memory that it had, in bytes. The window reaches up to now;
a narrow one ends with the last payment of the list.
"""

import asyncio
import sys
from pathlib import Path

from ops.errors import CheckFailed
from ops.output import Output
from ops.reconcile_commands import Asked, reconcile_with
from tests.large_books import GATEWAY, LargeBooks, LargeGateway
from workers.payments.gateways.registry import Gateways
from workers.payments.reconciling.reconciliation import Window


def largest_memory() -> int:
    """The most bytes of memory that this program had. The kernel's other count goes on from whoever started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (mark,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(mark) * 1_024


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
    asyncio.run(main(int(sys.argv[1]), apply="--apply" in sys.argv, is_narrow="--narrow" in sys.argv))
