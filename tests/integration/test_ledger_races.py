"""Commands sent twice, and commands that race each other through several writers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from uuid import UUID, uuid4

import pytest

from ledger import errors
from ledger.accounts import open_account as open_account_of
from ledger.batch import Outcome
from ledger.commands import Command
from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import NOW_US, SECOND_US, charge, confirm, expire_freeze, freeze, open_account, rollback, top_up
from tests.ledger_cases import CASES, TIME_OF, Case, under_key
from tests.ledger_state import check_everything, events_of, snapshot_of

WRITERS = 3
RACERS = 12
TURNS = 12
MOST_TURNS = 120

Answer = Outcome | errors.LedgerError


class Clock:
    """The time of all writers of a test."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def writers(database_url: str, clock: Clock) -> AsyncIterator[list[LedgerWriter]]:
    """Several writers, as in several processes."""
    started = [LedgerWriter(database_url, clock_us=clock) for _ in range(WRITERS)]
    for writer in started:
        await writer.__aenter__()
    yield started
    for writer in started:
        await writer.__aexit__()


async def give(writer: LedgerWriter, commands: Iterable[Command]) -> list[Outcome]:
    return [await writer.submit(command) for command in commands]


async def race(writers: Sequence[LedgerWriter], commands: Sequence[Command]) -> list[Answer]:
    """Send all at once, each through the next writer."""
    answers = await asyncio.gather(
        *[writers[place % len(writers)].submit(command) for place, command in enumerate(commands)],
        return_exceptions=True,
    )
    checked: list[Answer] = []
    for answer in answers:
        assert isinstance(answer, Outcome | errors.LedgerError), repr(answer)
        checked.append(answer)
    return checked


def accepted(answers: Iterable[Answer]) -> list[Outcome]:
    return [answer for answer in answers if isinstance(answer, Outcome) and not answer.replayed]


def codes(answers: Iterable[Answer]) -> Counter[str]:
    return Counter(answer.code for answer in answers if isinstance(answer, errors.LedgerError))


async def account_with(writer: LedgerWriter, balance: int) -> UUID:
    account_id = uuid4()
    await give(writer, [open_account(account_id), top_up(balance, account_id)])
    return account_id


def number_of_events(url: str, account_id: UUID) -> int:
    with snapshot_of(url) as connection:
        return len(events_of(connection, account_id))


each_command = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_command
async def test_a_command_sent_twice_happens_once(
    case: Case, writers: list[LedgerWriter], clock: Clock, database_url: str
) -> None:
    account_id = uuid4()
    await give(writers[0], case.before(account_id))
    clock.now_us = TIME_OF.get(case.name, clock.now_us)

    first = await writers[0].submit(under_key(case.command(account_id), "the key"))
    again = [await writer.submit(under_key(case.command(account_id), "the key")) for writer in writers]

    assert not first.replayed
    assert first.event.kind is case.kind
    assert again == [Outcome(first.event, replayed=True)] * WRITERS
    assert number_of_events(database_url, account_id) == first.event.version
    check_everything(database_url)


@each_command
async def test_another_request_under_a_used_key_is_refused(
    case: Case, writers: list[LedgerWriter], clock: Clock, database_url: str
) -> None:
    account_id = uuid4()
    await give(writers[0], case.before(account_id))
    clock.now_us = TIME_OF.get(case.name, clock.now_us)
    first = await writers[0].submit(under_key(case.command(account_id), "the key"))

    for writer in writers:
        with pytest.raises(errors.IdempotencyKeyReused):
            await writer.submit(under_key(case.other(account_id), "the key"))

    assert number_of_events(database_url, account_id) == first.event.version


@each_command
async def test_a_command_that_races_itself_under_one_key_happens_once(
    case: Case, writers: list[LedgerWriter], clock: Clock, database_url: str
) -> None:
    account_id = uuid4()
    await give(writers[0], case.before(account_id))
    clock.now_us = TIME_OF.get(case.name, clock.now_us)

    answers = await race(writers, [under_key(case.command(account_id), "the key") for _ in range(RACERS)])

    (winner,) = accepted(answers)
    assert all(isinstance(answer, Outcome) and answer.event == winner.event for answer in answers)
    assert number_of_events(database_url, account_id) == winner.event.version
    check_everything(database_url)


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "open"], ids=lambda case: case.name)
async def test_a_command_that_races_itself_under_many_keys_happens_as_often_as_it_may(
    case: Case, writers: list[LedgerWriter], clock: Clock, database_url: str
) -> None:
    account_id = uuid4()
    await give(writers[0], case.before(account_id))
    clock.now_us = TIME_OF.get(case.name, clock.now_us)

    answers = await race(writers, [case.command(account_id) for _ in range(RACERS)])

    assert len(accepted(answers)) == (RACERS if case.succeeds_again else 1)
    assert set(codes(answers)) <= case.refusals
    check_everything(database_url)


@each_command
async def test_commands_and_their_repetitions_fold_in_one_batch_as_they_do_one_by_one(
    case: Case, database_url: str, clock: Clock
) -> None:
    account_id = uuid4()
    commands = [*case.before(account_id), case.command(account_id)]
    late = TIME_OF.get(case.name)

    async with LedgerWriter(database_url, clock_us=clock) as writer:
        if late is not None:
            await give(writer, commands[:-1])
            clock.now_us = late
        answers = await race([writer], [command for command in commands for _ in range(2)])

    outcomes = [answer for answer in answers if isinstance(answer, Outcome)]
    assert len(outcomes) == 2 * len(commands)
    assert all(first.event == second.event for first, second in zip(outcomes[::2], outcomes[1::2], strict=True))
    check_everything(database_url)


async def test_many_openings_for_one_owner_open_one_account(
    writers: list[LedgerWriter], database: Database, database_url: str
) -> None:
    opened = await asyncio.gather(
        *[
            open_account_of(database, writers[place % WRITERS], owner="ann", name=f"name {place}")
            for place in range(RACERS)
        ]
    )

    assert len({account_id for account_id, _ in opened}) == 1
    assert sum(is_new for _, is_new in opened) == 1
    (account,) = check_everything(database_url)
    assert account.version == 1


async def test_of_fifty_parallel_freezes_of_thirty_on_a_hundred_exactly_three_succeed(
    writers: list[LedgerWriter], database_url: str
) -> None:
    account_id = await account_with(writers[0], 100)

    answers = await race(writers, [freeze(30, account_id) for _ in range(50)])

    assert len(accepted(answers)) == 3
    assert codes(answers) == {"insufficient_credits": 47}
    (account,) = check_everything(database_url)
    assert (account.available, account.frozen) == (10, 90)


@pytest.mark.parametrize("one_key", [True, False])
async def test_of_a_hundred_concurrent_confirms_of_one_freeze_one_is_an_event(
    writers: list[LedgerWriter], database_url: str, one_key: bool
) -> None:
    account_id = await account_with(writers[0], 100)
    freeze_id = uuid4()
    await writers[0].submit(freeze(60, account_id, freeze_id=freeze_id))
    keys = {"command_key": "the key"} if one_key else {}

    answers = await race(writers, [confirm(freeze_id, 40, account_id, **keys) for _ in range(100)])

    (winner,) = accepted(answers)
    if one_key:
        assert all(isinstance(answer, Outcome) and answer.event == winner.event for answer in answers)
    else:
        assert codes(answers) == {"freeze_already_resolved": 99}
    (account,) = check_everything(database_url)
    assert (account.available, account.frozen, account.spent, account.version) == (60, 0, 40, 4)


async def test_of_confirm_and_rollback_and_expiry_one_wins(
    writers: list[LedgerWriter], database_url: str, clock: Clock
) -> None:
    winners: Counter[str] = Counter()
    for turn in range(MOST_TURNS):
        # Nobody knows who is first: mostly the first writer, whose command is another one each time.
        if turn >= TURNS and len(winners) > 1:
            break
        account_id = await account_with(writers[0], 100)
        freeze_id = uuid4()
        await writers[0].submit(freeze(60, account_id, freeze_id=freeze_id, ttl_us=SECOND_US))
        clock.now_us += SECOND_US
        racers = [
            confirm(freeze_id, 60, account_id),
            rollback(freeze_id, account_id),
            expire_freeze(freeze_id, account_id),
        ]
        shifted = racers[turn % 3 :] + racers[: turn % 3]

        answers = await race(writers, shifted * 3)

        (winner,) = accepted(answers)
        # The winner's own repetitions have its key.
        assert codes(answers) == {"freeze_already_resolved": 6}
        winners[winner.event.kind.name] += 1

    assert set(winners) == {"freeze_confirmed", "freeze_rolled_back"}
    for account in check_everything(database_url):
        assert account.frozen == 0
        assert account.spent in (0, 60)
        assert account.available == 100 - account.spent


async def test_charges_from_several_writers_spend_the_balance_to_the_last_microcredit(
    writers: list[LedgerWriter], database_url: str
) -> None:
    account_id = await account_with(writers[0], 100)

    answers = await race(writers, [charge(7, account_id) for _ in range(40)])

    assert len(accepted(answers)) == 14
    (account,) = check_everything(database_url)
    assert (account.available, account.spent) == (2, 98)


async def test_many_accounts_in_batches_of_several_writers_do_not_wait_in_a_ring(
    writers: list[LedgerWriter], database_url: str
) -> None:
    account_ids = [await account_with(writers[0], 1_000) for _ in range(10)]

    commands = [charge(1, account_id) for _ in range(20) for account_id in account_ids]
    commands += [charge(1, account_id) for _ in range(20) for account_id in reversed(account_ids)]
    answers = await race(writers, commands)

    assert len(accepted(answers)) == 400
    assert {account.spent for account in check_everything(database_url)} == {40}


async def test_ten_thousand_charges_and_confirms_of_four_ten_thousandths_cost_exactly_four_credits_each(
    writers: list[LedgerWriter], database_url: str
) -> None:
    account_id = await account_with(writers[0], 10_000_000)
    freeze_ids = [uuid4() for _ in range(10_000)]

    async def freeze_and_confirm(place: int, freeze_id: UUID) -> None:
        writer = writers[place % WRITERS]
        await writer.submit(freeze(500, account_id, freeze_id=freeze_id))
        await writer.submit(confirm(freeze_id, 400, account_id))

    charges = await race(writers, [charge(400, account_id) for _ in range(10_000)])
    await asyncio.gather(*[freeze_and_confirm(*pair) for pair in enumerate(freeze_ids)])

    assert len(accepted(charges)) == 10_000
    (account,) = check_everything(database_url)
    assert (account.spent, account.available, account.frozen) == (8_000_000, 2_000_000, 0)


async def test_the_largest_amounts_go_through_every_column(writers: list[LedgerWriter], database_url: str) -> None:
    account_id, freeze_id = uuid4(), uuid4()
    await give(writers[0], [open_account(account_id), *[top_up(2**60, account_id) for _ in range(4)]])

    with pytest.raises(errors.BalanceLimitExceeded):
        await writers[1].submit(top_up(1, account_id))
    await give(
        writers[0],
        [
            freeze(2**60, account_id, freeze_id=freeze_id),
            confirm(freeze_id, 2**60, account_id),
            charge(2**60, account_id),
        ],
    )

    (account,) = check_everything(database_url)
    assert (account.credited, account.spent, account.available) == (2**62, 2**61, 2**61)
