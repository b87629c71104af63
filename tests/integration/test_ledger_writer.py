"""The writer: batches, isolation of what breaks them, units, riders, lost connections, waiting, the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection

from ledger import commands, database, errors
from ledger.batch import Outcome, Rider, Statement
from ledger.commands import Command
from ledger.writer import LedgerWriter
from tests.builders import NOW_US, charge, confirm, freeze, grant, open_account, top_up
from tests.ledger_state import check_everything

WRITER_NAME = "holdfast ledger writer"
FAR_FUTURE_US = 253_402_300_800_000_000
"""The first moment of the year 10000, which Python cannot represent."""


@pytest.fixture
async def one_lane(database_url: str) -> AsyncIterator[LedgerWriter]:
    """A writer with one connection, so that what is queued together is one batch."""
    async with LedgerWriter(database_url, lanes=1) as writer:
        yield writer


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE jobs (id int PRIMARY KEY, attempt int NOT NULL)")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON jobs TO holdfast_app")
        yield connection


UNSTORABLE: list[Callable[[UUID], Command]] = [
    lambda account_id: top_up(1, account_id, source="a\x00b"),
    lambda account_id: top_up(1, account_id, paid_currency="\ud800"),
    lambda account_id: freeze(1, account_id, reference="a\x00b"),
    lambda account_id: freeze(1, account_id, reference="\udfff"),
    lambda account_id: charge(1, account_id, command_key="a\x00b"),
    lambda account_id: charge(1, account_id, command_key="\ud800"),
    lambda _: open_account(uuid4(), owner="a\x00b"),
    lambda _: open_account(uuid4(), name="\ud800"),
]

OUT_OF_RANGE: list[Callable[[UUID], Command]] = [
    lambda account_id: top_up(1, account_id, expires_at_us=FAR_FUTURE_US),
    lambda account_id: top_up(1, account_id, expires_at_us=2**63),
    lambda account_id: grant(1, account_id, expires_at_us=-(2**63)),
    lambda account_id: freeze(1, account_id, ttl_us=FAR_FUTURE_US),
    lambda account_id: freeze(1, account_id, ttl_us=2**62),
    lambda account_id: freeze(1, account_id, ttl_us=-1),
    lambda account_id: grant(1, account_id, priority=2**31),
    lambda account_id: top_up(1, account_id, priority=-(2**31) - 1),
]


async def new_account(writer: LedgerWriter, balance: int = 1_000) -> UUID:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(balance, account_id))
    return account_id


async def submit_all(writer: LedgerWriter, commands: Sequence[Command]) -> list[Outcome | BaseException]:
    return await asyncio.gather(*[writer.submit(command) for command in commands], return_exceptions=True)


def transactions_of(connection: Connection, account_id: UUID) -> int:
    row = connection.execute("SELECT count(DISTINCT xid) FROM events WHERE account_id = %s", [account_id]).fetchone()
    assert row is not None
    return row[0]


def insert_job(number: int) -> Statement:
    return ("INSERT INTO jobs (id, attempt) VALUES (%(id)s, 1)", {"id": number})


def guard_job(number: int, attempt: int) -> Statement:
    return (
        "SELECT 1 FROM jobs WHERE id = %(id)s AND attempt = %(attempt)s FOR UPDATE",
        {"id": number, "attempt": attempt},
    )


def jobs(connection: Connection) -> list[tuple[int, int]]:
    return connection.execute("SELECT id, attempt FROM jobs ORDER BY id").fetchall()


async def test_what_queues_while_a_transaction_commits_is_one_batch(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id = await new_account(one_lane)

    outcomes = await submit_all(one_lane, [charge(1, account_id) for _ in range(500)])

    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    assert transactions_of(owner, account_id) <= 5
    (account,) = check_everything(database_url)
    assert account.spent == 500


async def test_a_batch_has_a_bound(database_url: str, owner: Connection) -> None:
    async with LedgerWriter(database_url, lanes=1, batch_limit=10) as writer:
        account_id = await new_account(writer)
        await submit_all(writer, [charge(1, account_id) for _ in range(100)])

    assert transactions_of(owner, account_id) >= 12
    check_everything(database_url)


async def test_positions_follow_versions_within_a_batch(one_lane: LedgerWriter, owner: Connection) -> None:
    account_ids = [await new_account(one_lane) for _ in range(5)]
    await submit_all(one_lane, [charge(1, account_id) for _ in range(60) for account_id in account_ids])

    out_of_order = owner.execute(
        "SELECT count(*) FROM events AS a INNER JOIN events AS b"
        " ON a.account_id = b.account_id AND a.version < b.version AND a.position > b.position"
    ).fetchone()

    assert out_of_order == (0,)


async def test_refusals_in_a_batch_disturb_nobody(one_lane: LedgerWriter, database_url: str) -> None:
    account_id = await new_account(one_lane, 10)
    commands = [charge(amount, account_id) for amount in (4, 100, 3, 0, 3, 1)] + [charge(1, uuid4())]

    answers = await submit_all(one_lane, commands)

    assert [type(answer).__name__ for answer in answers] == [
        "Outcome", "InsufficientCredits", "Outcome", "InvalidAmount", "Outcome", "InsufficientCredits",
        "AccountNotFound",
    ]  # fmt: skip
    (account,) = check_everything(database_url)
    assert account.spent == 10


@pytest.mark.parametrize("bad", UNSTORABLE)
async def test_text_that_cannot_be_stored_is_refused_and_its_neighbours_go_through(
    one_lane: LedgerWriter, database_url: str, bad: Callable[[UUID], Command]
) -> None:
    account_id = await new_account(one_lane)
    commands = [charge(1, account_id), bad(account_id), charge(2, account_id)]

    answers = await submit_all(one_lane, commands)

    assert isinstance(answers[1], errors.UnstorableText)
    assert isinstance(answers[0], Outcome)
    assert isinstance(answers[2], Outcome)
    (account,) = [account for account in check_everything(database_url) if account.id == account_id]
    assert account.spent == 3


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_command_key_out_of_bounds_is_refused(one_lane: LedgerWriter, database_url: str, key: str) -> None:
    account_id = await new_account(one_lane)

    given = [charge(1, account_id, command_key=command_key) for command_key in ("first", key, "ö" * 200)]

    answers = await submit_all(one_lane, given)

    assert isinstance(answers[1], errors.InvalidCommandKey)
    assert isinstance(answers[0], Outcome)
    assert isinstance(answers[2], Outcome)
    check_everything(database_url)


@pytest.mark.parametrize("bad", OUT_OF_RANGE)
async def test_times_and_priorities_that_cannot_be_kept_are_refused_and_the_account_lives_on(
    one_lane: LedgerWriter, database_url: str, bad: Callable[[UUID], Command]
) -> None:
    account_id = await new_account(one_lane)

    answers = await submit_all(one_lane, [charge(1, account_id), bad(account_id), charge(2, account_id)])
    await one_lane.submit(charge(3, account_id))

    assert isinstance(answers[1], errors.OutOfRange)
    (account,) = check_everything(database_url)
    assert account.spent == 6


async def test_a_freeze_id_that_is_taken_is_isolated(one_lane: LedgerWriter, database_url: str) -> None:
    account_id, freeze_id = await new_account(one_lane), uuid4()
    await one_lane.submit(freeze(1, account_id, freeze_id=freeze_id))

    answers = await submit_all(
        one_lane, [charge(1, account_id), freeze(2, account_id, freeze_id=freeze_id), charge(2, account_id)]
    )

    assert isinstance(answers[1], errors.FreezeExists)
    (account,) = check_everything(database_url)
    assert (account.spent, account.frozen) == (3, 1)


@pytest.mark.parametrize(
    "broken",
    [
        "SELECT 1 / 0",
        "INSERT INTO jobs (id, attempt) VALUES (1, 1), (1, 1)",
        "SELECT FROM nowhere",
        "DELETE FROM events",
    ],
)
async def test_a_rider_that_fails_takes_its_command_with_it_and_no_other(
    one_lane: LedgerWriter, owner: Connection, database_url: str, broken: LiteralString
) -> None:
    account_id = await new_account(one_lane)
    good = [one_lane.submit(charge(1, account_id), riders=[Rider(writes=(insert_job(10 + n),))]) for n in range(5)]
    bad = one_lane.submit(charge(100, account_id), riders=[Rider(writes=(insert_job(99), (broken, {})))])

    answers = await asyncio.gather(*good[:2], bad, *good[2:], return_exceptions=True)

    assert isinstance(answers[2], psycopg.Error)
    assert jobs(owner) == [(10 + n, 1) for n in range(5)]
    (account,) = check_everything(database_url)
    assert account.spent == 5


async def test_a_rider_commits_with_its_command_or_not_at_all(one_lane: LedgerWriter, owner: Connection) -> None:
    account_id = await new_account(one_lane, 10)

    await one_lane.submit(charge(4, account_id), riders=[Rider(writes=(insert_job(1), insert_job(2)))])
    with pytest.raises(errors.InsufficientCredits):
        await one_lane.submit(charge(100, account_id), riders=[Rider(writes=(insert_job(3),))])

    assert jobs(owner) == [(1, 1), (2, 1)]


async def test_a_replay_writes_no_rider_and_asks_no_guard(one_lane: LedgerWriter, owner: Connection) -> None:
    account_id = await new_account(one_lane)
    first = await one_lane.submit(charge(4, account_id, command_key="k"), riders=[Rider(writes=(insert_job(1),))])

    again = await one_lane.submit(
        charge(4, account_id, command_key="k"), riders=[Rider(guard=guard_job(77, 1), writes=(insert_job(2),))]
    )

    assert again == Outcome(first.event, replayed=True)
    assert jobs(owner) == [(1, 1)]


async def test_repetitions_in_one_batch_write_their_riders_once(one_lane: LedgerWriter, owner: Connection) -> None:
    account_id = await new_account(one_lane)

    await asyncio.gather(
        *[
            one_lane.submit(charge(4, account_id, command_key="k"), riders=[Rider(writes=(insert_job(1),))])
            for _ in range(10)
        ]
    )

    assert jobs(owner) == [(1, 1)]


async def test_a_guard_that_finds_no_row_refuses_the_command(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id = await new_account(one_lane)
    owner.execute("INSERT INTO jobs (id, attempt) VALUES (1, 2)")

    with pytest.raises(errors.RiderRefused):
        await one_lane.submit(charge(4, account_id), riders=[Rider(guard=guard_job(1, 1), writes=(insert_job(5),))])
    await one_lane.submit(charge(3, account_id), riders=[Rider(guard=guard_job(1, 2), writes=(insert_job(6),))])

    assert jobs(owner) == [(1, 2), (6, 1)]
    (account,) = check_everything(database_url)
    assert account.spent == 3


async def test_of_two_riders_of_one_batch_that_close_the_same_job_one_is_refused(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id = await new_account(one_lane)
    owner.execute("INSERT INTO jobs (id, attempt) VALUES (1, 1)")
    close = Rider(guard=guard_job(1, 1), writes=(("UPDATE jobs SET attempt = attempt + 1 WHERE id = 1", {}),))

    answers = await asyncio.gather(
        *[one_lane.submit(charge(1, account_id), riders=[close]) for _ in range(5)], return_exceptions=True
    )

    assert sum(isinstance(answer, Outcome) for answer in answers) == 1
    assert sum(isinstance(answer, errors.RiderRefused) for answer in answers) == 4
    assert jobs(owner) == [(1, 2)]
    (account,) = check_everything(database_url)
    assert account.spent == 1


async def test_a_unit_is_accepted_as_a_whole_or_not_at_all(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id, freeze_id = await new_account(one_lane, 100), uuid4()
    await one_lane.submit(freeze(60, account_id, freeze_id=freeze_id))
    rider = Rider(writes=(insert_job(1),))

    with pytest.raises(errors.InsufficientCredits):
        await one_lane.submit_unit([confirm(freeze_id, None, account_id), charge(41, account_id)], riders=[rider])
    assert jobs(owner) == []
    outcomes = await one_lane.submit_unit(
        [confirm(freeze_id, None, account_id), charge(40, account_id)], riders=[rider]
    )

    assert [outcome.event.version for outcome in outcomes] == [4, 5]
    assert jobs(owner) == [(1, 1)]
    (account,) = check_everything(database_url)
    assert (account.spent, account.available) == (100, 0)


async def test_a_refused_unit_leaves_its_neighbours_in_the_batch_as_if_it_had_not_been(
    one_lane: LedgerWriter, database_url: str
) -> None:
    account_id = await new_account(one_lane, 100)
    bad = one_lane.submit_unit([charge(60, account_id, command_key="a"), charge(60, account_id)])
    after = [one_lane.submit(charge(50, account_id)), one_lane.submit(charge(50, account_id, command_key="a"))]

    answers = await asyncio.gather(one_lane.submit(charge(0, account_id)), bad, *after, return_exceptions=True)

    assert isinstance(answers[1], errors.InsufficientCredits)
    assert isinstance(answers[2], Outcome)
    assert isinstance(answers[3], Outcome)
    (account,) = check_everything(database_url)
    assert (account.spent, account.available, account.version) == (100, 0, 4)


async def test_a_repeated_unit_returns_the_original_outcomes(one_lane: LedgerWriter, database_url: str) -> None:
    account_id = await new_account(one_lane, 100)
    unit = [charge(10, account_id), charge(20, account_id)]

    first = await one_lane.submit_unit(unit)
    second = await one_lane.submit_unit(unit)

    assert second == tuple(Outcome(outcome.event, replayed=True) for outcome in first)
    (account,) = check_everything(database_url)
    assert account.spent == 30


async def test_lots_that_are_over_expire_before_anything_else_happens(database_url: str) -> None:
    now_us = NOW_US
    async with LedgerWriter(database_url, clock_us=lambda: now_us) as writer:
        account_id = uuid4()
        await writer.submit(open_account(account_id))
        await writer.submit(grant(50, account_id, expires_at_us=NOW_US + 1))
        await writer.submit(grant(7, account_id))
        now_us += 1

        outcome = await writer.submit(charge(7, account_id))
        with pytest.raises(errors.InsufficientCredits):
            await writer.submit(charge(1, account_id))

    assert outcome.event.version == 5
    (account,) = check_everything(database_url)
    assert (account.expired, account.spent, account.available) == (50, 7, 0)


async def test_the_time_of_an_account_never_goes_back(database_url: str) -> None:
    now_us = NOW_US
    async with LedgerWriter(database_url, clock_us=lambda: now_us) as writer:
        account_id = await new_account(writer)
        now_us -= 5_000_000

        outcome = await writer.submit(charge(1, account_id))

    assert outcome.event.recorded_at_us == NOW_US
    check_everything(database_url)


def end_writer_sessions(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        [WRITER_NAME],
    ).fetchone()
    assert row is not None
    return row[0]


async def test_a_connection_that_was_lost_between_batches_is_replaced(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id = await new_account(one_lane)

    assert end_writer_sessions(owner) == 1
    outcome = await one_lane.submit(charge(1, account_id))

    assert not outcome.replayed
    check_everything(database_url)


async def test_connections_killed_in_the_middle_of_batches_lose_and_double_nothing(
    one_lane: LedgerWriter, owner: Connection, database_url: str
) -> None:
    account_id = await new_account(one_lane, 100_000)
    killed = 0

    async def kill_now_and_then() -> None:
        nonlocal killed
        while killed < 5:
            killed += await asyncio.to_thread(end_writer_sessions, owner)
            await asyncio.sleep(0.02)

    killer = asyncio.create_task(kill_now_and_then())
    charged = 0
    while not killer.done():
        outcomes = await asyncio.gather(*[one_lane.submit(charge(1, account_id)) for _ in range(100)])
        charged += len(outcomes)
    await killer

    (account,) = check_everything(database_url)
    assert account.spent == charged


async def test_a_lock_that_is_held_too_long_is_told_as_contention_and_nothing_is_written(
    database_url: str, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_MS", 200)
    async with LedgerWriter(database_url, lanes=1) as writer:
        account_id = await new_account(writer)
        with psycopg.connect(database_url) as blocker:
            blocker.execute("SELECT 1 FROM accounts WHERE id = %s FOR UPDATE", [account_id])

            with pytest.raises(errors.Contended):
                await writer.submit(charge(1, account_id, command_key="k"), riders=[Rider(writes=(insert_job(1),))])
        outcome = await writer.submit(charge(1, account_id, command_key="k"), riders=[Rider(writes=(insert_job(1),))])

    assert not outcome.replayed
    assert jobs(owner) == [(1, 1)]
    check_everything(database_url)


async def test_leaving_the_writer_commits_what_is_queued(database_url: str) -> None:
    account_id = uuid4()
    async with LedgerWriter(database_url) as writer:
        await writer.submit(open_account(account_id))
        await writer.submit(top_up(1_000, account_id))
        waiting = [asyncio.ensure_future(writer.submit(charge(1, account_id))) for _ in range(700)]
        await asyncio.sleep(0)

    assert all(task.done() and isinstance(task.result(), Outcome) for task in waiting)
    with pytest.raises(errors.Contended):
        await writer.submit(charge(1, account_id))
    (account,) = check_everything(database_url)
    assert account.spent == 700


async def test_a_caller_that_stops_waiting_may_ask_again_and_has_one_effect(
    one_lane: LedgerWriter, database_url: str
) -> None:
    account_id = await new_account(one_lane)
    tasks = [asyncio.create_task(one_lane.submit(charge(1, account_id, command_key=f"k{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()

    others = await asyncio.gather(*tasks, return_exceptions=True)
    again = await asyncio.gather(*[one_lane.submit(charge(1, account_id, command_key=f"k{n}")) for n in range(50)])

    assert all(isinstance(answer, asyncio.CancelledError) for answer in others[::2])
    assert all(isinstance(answer, Outcome) for answer in others[1::2])
    assert all(outcome.replayed for outcome in again[1::2])
    (account,) = check_everything(database_url)
    assert account.spent == 50


async def test_whoever_watches_hears_of_every_account_that_changed(database_url: str) -> None:
    heard: list[UUID] = []
    async with LedgerWriter(database_url, on_commit=heard.extend) as writer:
        first, second = await new_account(writer), await new_account(writer)
        heard.clear()
        await asyncio.gather(writer.submit(charge(1, first)), writer.submit(charge(1, second)))
        with pytest.raises(errors.InsufficientCredits):
            await writer.submit(charge(10_000, first))

    assert sorted(heard) == sorted([first, second])


async def test_an_unreachable_database_is_told_as_contention(database_url: str, postgres: object) -> None:
    async with LedgerWriter(f"{database_url}&dbname=nowhere") as writer:
        with pytest.raises(errors.Contended):
            await writer.submit(charge(1, uuid4()))


async def open_with(writer: LedgerWriter, account_id: UUID) -> None:
    await writer.submit(commands.OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id)))
    await writer.submit(commands.TopUp(account_id=account_id, command_key="top-up", amount_microcredits=10**9))


def long_charge(account_id: UUID, unit: int, number: int) -> commands.Charge:
    return commands.Charge(
        account_id=account_id,
        command_key=f"{unit}:{number}:".ljust(200, "k"),
        amount_microcredits=1,
        reference="r" * 2_000,
    )


async def test_a_batch_far_larger_than_a_socket_buffer_goes_through(database_url: str) -> None:
    account_ids = [uuid4() for _ in range(8)]
    async with LedgerWriter(database_url, lanes=1, batch_limit=10_000) as writer:
        for account_id in account_ids:
            await open_with(writer, account_id)

        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(
                *[
                    writer.submit_unit([long_charge(account_id, unit, number) for number in range(100)])
                    for account_id in account_ids
                    for unit in range(5)
                ]
            )

    assert sum(len(unit) for unit in outcomes) == 4_000
