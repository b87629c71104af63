"""Checking everything that is kept against the events, and the events against what was signed."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ledger.audit.accounts import AccountRange, CheckedAccounts, check_accounts
from ledger.audit.findings import Finding
from ledger.audit.log import CheckedLog, Claim, check_log
from ledger.audit.order import EVENT_BYTES, Order, OrderFiles, reserve, write_places
from ledger.audit.totals import Totals
from ledger.audit.whole import Whole, account_ranges, add_up, log_ranges, read_whole
from ledger.merkle import Range
from ledger.notes import VerifierKey
from ops.audit.pool import Job, Run, processes
from ops.audit.snapshot import LOOKING_UP, one_moment, same_moment
from ops.errors import CannotReach
from projections.audit.analytics import SETTINGS, check_analytics
from projections.audit.balances import BalancesOnlooker
from projections.audit.journal import JournalOnlooker
from projections.audit.statements import StatementsOnlooker
from projections.status import BuildStatus, read_status


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, what it came to, and what is wrong with it, in the order of the log."""

    events: int
    sealed: int
    root: str
    tiles: int
    ticks: int
    checkpoints: int
    signatures_checked: bool
    totals: Totals
    read_models: dict[str, int]
    """Up to which seq each was compared: what it has taken."""
    findings: list[Finding]
    seconds: float


class _Moment(msgspec.Struct, frozen=True):
    """Where the processes find the one moment that all of them look at."""

    url: str
    snapshot: str
    whole: Whole
    order: OrderFiles
    claims: Sequence[Claim]
    trusted: Sequence[VerifierKey]
    builds: Mapping[str, BuildStatus]


async def verify(
    url: str, *, claims: Sequence[Claim], trusted: Sequence[VerifierKey], progress: Callable[[int, int], None]
) -> Report:
    """Check the chain and replay of every account, the sealed order, the tree and the checkpoints, and all read models.

    Ranges of accounts and of the order are checked apart, so memory depends on their size and not on that of the log.
    What has to be known of the whole order is kept in temporary files, of 40 bytes an event.

    Raises:
        CannotReach: there is no room for these files.
    """
    began = time.monotonic()
    async with one_moment(url) as (connection, snapshot):
        whole = await read_whole(connection)
        with _order_files(whole.size) as order:
            builds = {build.name: build for build in await read_status(connection) if build.is_active}
            moment = _Moment(url, snapshot, whole, order, claims, trusted, builds)
            analytics: Job = (partial(_analytics, moment), None)
            accounts: list[Job] = [(partial(_accounts, moment), part) for part in await account_ranges(connection)]
            leaves: list[Job] = [(partial(_log, moment), part) for part in log_ranges(whole.size)]
            total = 1 + len(accounts) + len(leaves)

            async def check(run: Run) -> tuple[list[CheckedAccounts], list[CheckedLog]]:
                with _said_clearly(order.size):
                    await write_places(connection, order)
                return await run(accounts), await run(leaves)

            async with processes(__name__, total=total, progress=progress) as run:
                # What takes long alone begins first, so that none is left with it while the others are done.
                wrong: list[Finding]
                (wrong,), (checked, logs) = await asyncio.gather(run([analytics]), check(run))
    totals, findings = add_up(whole, checked, logs, claims)
    findings += [*_too_far(whole, builds.values()), *wrong]
    return Report(
        events=sum(part.events for part in checked),
        sealed=whole.size,
        root="" if whole.root is None else whole.root.hex(),
        tiles=sum(part.tiles for part in logs),
        ticks=sum(part.ticks for part in logs),
        checkpoints=sum(part.checkpoints for part in logs),
        signatures_checked=bool(trusted),
        totals=totals,
        read_models={name: build.seq for name, build in builds.items()},
        findings=sorted(findings, key=lambda finding: finding.place),
        seconds=round(time.monotonic() - began, 3),
    )


@contextlib.contextmanager
def _order_files(size: int) -> Generator[OrderFiles]:
    """Make room for the files of the order, for a while."""
    with contextlib.ExitStack() as stack:
        with _said_clearly(size):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-audit-"))
            files = OrderFiles(Path(directory), size)
            reserve(files)
        yield files


@contextlib.contextmanager
def _said_clearly(size: int) -> Generator[None]:
    """Say what the files of an order of this size need, where they cannot be written."""
    try:
        yield
    except OSError as error:
        needed = f"an audit of {size:,} events needs {size * EVENT_BYTES:,} bytes for temporary files"
        where = f"in {tempfile.gettempdir()}; TMPDIR names another folder"
        raise CannotReach(f"{needed} {where} ({error.strerror})") from error


async def _accounts(moment: _Moment, part: AccountRange) -> CheckedAccounts:
    async with same_moment(moment.url, moment.snapshot, settings=LOOKING_UP) as connection:
        onlookers = (
            await JournalOnlooker.of(connection, part, moment.builds["journal"]),
            await BalancesOnlooker.of(connection, part, moment.builds["balances"]),
            await StatementsOnlooker.of(connection, part, moment.builds["statements"]),
        )
        with Order(moment.order) as order:
            return await check_accounts(
                connection, part, order=order, snapshot=moment.whole.snapshot, onlookers=onlookers
            )


async def _log(moment: _Moment, part: Range) -> CheckedLog:
    async with same_moment(moment.url, moment.snapshot) as connection:
        with Order(moment.order) as order:
            return await check_log(connection, part, order=order, claims=moment.claims, trusted=moment.trusted)


async def _analytics(moment: _Moment, _: None) -> list[Finding]:
    async with same_moment(moment.url, moment.snapshot, settings=SETTINGS) as connection:
        return await check_analytics(connection, moment.builds["analytics"])


def _too_far(whole: Whole, builds: Iterable[BuildStatus]) -> list[Finding]:
    """Find read models that claim more events than there are in the order."""
    return [
        Finding(check=build.name, problem=f"it says it has {build.seq} events, and {whole.size} are sealed")
        for build in builds
        if build.seq > whole.size
    ]
