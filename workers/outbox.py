"""Sending again what was committed and never taken up: the API died, the broker was away, or it forgot everything."""

from typing import Final

from workers.admission import RESEND_AFTER_S
from workers.context import GenerationContext
from workers.generations import sql
from workers.queue import Dispatch

BATCH: Final = 500
LONGEST_S: Final = 5
BUSY_PATIENCE_S: Final = 30
"""While messages wait in the broker, ours is most likely among them: a second one would only make it slower."""


async def resend_outbox(context: GenerationContext) -> int:
    """Send what is due and return how many that was.

    A message that turns out to be a second one does no harm: the first claim wins.

    Raises:
        RedisError, OSError: the broker is away; nothing was taken.
    """
    depth = await context.queue.depth()
    patience_s = 0 if depth == 0 else BUSY_PATIENCE_S
    parameters = {
        "patience": f"{patience_s} s",
        "resend_after": f"{RESEND_AFTER_S} s",
        "longest": f"{LONGEST_S} s",
        "limit": BATCH,
    }
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.TAKE_DUE_OUTBOX, parameters)).fetchall()
    # Committed first: nothing is sent to the queue inside a transaction.
    for row in rows:
        context.queue.send(Dispatch(*row))
    return len(rows)
