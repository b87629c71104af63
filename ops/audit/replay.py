"""Replaying one account, or all, up to one point or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import msgspec

from ledger.account import Account
from ledger.audit.accounts import AccountRange
from ledger.audit.replay import Point, Replayed, replay_accounts
from ledger.audit.totals import Totals
from ledger.audit.whole import account_ranges
from ops.audit.pool import processes
from ops.audit.snapshot import one_moment, same_moment


class State(msgspec.Struct, frozen=True):
    """What one account, or all, had at a point."""

    point: Point
    events: int
    totals: Totals
    account: Account | None


async def replay(
    url: str, points: Sequence[Point], *, account_id: UUID | None, progress: Callable[[int, int], None]
) -> list[State]:
    """Replay up to each of the points."""
    async with one_moment(url) as (connection, snapshot):
        if account_id is None:
            parts = await account_ranges(connection)
        else:
            parts = [AccountRange(account_id, account_id)]
        if len(parts) == 1:
            replayed = [await replay_accounts(connection, parts[0], point) for point in points]
            progress(1, 1)
        else:
            jobs = [(partial(_replay, url, snapshot, point), part) for point in points for part in parts]
            async with processes(__name__, total=len(jobs), progress=progress) as run:
                replayed = await run(jobs)
    return [
        _state(point, replayed[number * len(parts) : (number + 1) * len(parts)], account_id)
        for number, point in enumerate(points)
    ]


def _state(point: Point, parts: Sequence[Replayed], account_id: UUID | None) -> State:
    totals = Totals()
    for part in parts:
        totals.add(part.totals)
    account = parts[0].last if account_id is not None else None
    return State(point, sum(part.events for part in parts), totals, account)


async def _replay(url: str, snapshot: str, point: Point, part: AccountRange) -> Replayed:
    async with same_moment(url, snapshot) as connection:
        replayed = await replay_accounts(connection, part, point)
    # The totals have it; its freezes and lots need not travel.
    return Replayed(replayed.events, replayed.totals)
