"""Sending again what was committed and never taken up: the API died, the broker was away, or it forgot everything."""

from typing import Final

from workers.admission import RESEND_AFTER_S
from workers.context import GenerationContext
from workers.generations import sql
from workers.queue import WakeUp
from workers.tiers import Tier

BATCH: Final = 500
LONGEST_S: Final = 5
BUSY_PATIENCE_S: Final = 30
"""While messages wait in the broker, ours is most likely among them: a second one would only make it slower."""


async def resend_outbox(context: GenerationContext) -> int:
    """Send what is due and return how many that was.

    A message that turns out to be a second one does no harm: whoever it wakes finds nothing to do.

    Raises:
        RedisError, OSError: the broker is away; nothing was taken.
    """
    depths = await context.queue.depths()
    parameters = {
        "patience": [f"{0 if depths[tier] == 0 else BUSY_PATIENCE_S} s" for tier in Tier],
        "full_providers": await context.limits.full_providers(),
        "resend_after": f"{RESEND_AFTER_S} s",
        "longest": f"{LONGEST_S} s",
        "limit": BATCH,
    }
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.TAKE_DUE_OUTBOX, parameters)).fetchall()
    # Committed first: nothing is sent to the queue inside a transaction.
    for tier, request_id in rows:
        context.queue.send(WakeUp(Tier(tier), request_id))
    return len(rows)
