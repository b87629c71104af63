"""Any commands, duplicated, reordered and from several connections, beside a naive model of the ledger.

After every step, for every account: in = available + frozen + spent + expired + reversed, the heads and the rows
beside them are what the events fold to, the model agrees, the chain is intact, versions have no gaps, and nothing is
negative but by a reversal or an override.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final, Self, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from psycopg import Connection

from ledger import batch, commands, errors
from ledger.batch import Outcome
from ledger.commands import Command
from ledger.events import Event
from ledger.writer import LedgerWriter
from tests.builders import (
    NOW_US,
    SECOND_US,
    adjust,
    charge,
    confirm,
    expire_freeze,
    expire_lot,
    freeze,
    grant,
    open_account,
    reinstate,
    reverse,
    rollback,
    top_up,
)
from tests.ledger_state import check_account, check_totals, events_of
from tests.naive_ledger import NaiveAccount, Refusal

SKEWS_US: Final = (0, 0, -2 * SECOND_US)
"""Three writers, as in three processes; the clock of one is behind."""

FREEZE_IDS: Final = [UUID(int=number) for number in range(1, 13)]
"""Few, so that commands meet: a freeze with an id that is taken, a confirm before its freeze."""

ACCOUNTS: Final = 2
KINDS: Final = (
    "freeze", "confirm", "top_up", "grant", "rollback", "expire_freeze", "charge", "adjust_up", "adjust_down",
    "expire_lot", "expire_early", "reverse", "reinstate", "freeze", "confirm", "reverse", "reinstate",
)  # fmt: skip
Answer = Outcome | errors.Refused
T = TypeVar("T")

places = st.integers(0, 10_000)
odd_amounts = st.sampled_from([0, -1, 2**60, 2**60 + 1, -(2**60), -(2**60) - 1])
debits = st.one_of(*[st.integers(1, 60)] * 9, odd_amounts)
credits_in = st.one_of(*[st.integers(1, 400)] * 9, odd_amounts)
priorities = st.sampled_from([1, 100, 100])
delays_us = st.sampled_from([None, None, -1, 0, 1, SECOND_US, 3 * SECOND_US])


class Bench:
    """What all examples share: a database, three writers on one clock, and a loop to run them."""

    def __init__(self, url: str) -> None:
        self.now_us = NOW_US
        self.runner = asyncio.Runner()
        self.connection: Connection = psycopg.connect(url, autocommit=True)
        self.writers = [LedgerWriter(url, clock_us=self._clock(skew_us)) for skew_us in SKEWS_US]

    def _clock(self, skew_us: int) -> Callable[[], int]:
        return lambda: self.now_us + skew_us

    def __enter__(self) -> Self:
        for writer in self.writers:
            self.runner.run(writer.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            self.runner.run(writer.__aexit__())
        self.runner.close()
        self.connection.close()

    def send(self, sendings: list[tuple[int, Command]]) -> list[Answer]:
        """Send each command through its writer, all at once."""

        async def send_all() -> list[Any]:
            answers = [self.writers[writer].submit(command) for writer, command in sendings]
            return await asyncio.gather(*answers, return_exceptions=True)

        return [expected_answer(answer) for answer in self.runner.run(send_all())]

    def send_unit(self, writer: int, unit: list[Command]) -> tuple[Outcome, ...] | errors.Refused:
        async def send() -> tuple[Outcome, ...] | errors.Refused:
            try:
                return await self.writers[writer].submit_unit(unit)
            except errors.Refused as refusal:
                return refusal

        return self.runner.run(send())


def expected_answer(answer: Any) -> Answer:
    if isinstance(answer, Outcome | errors.Refused):
        return answer
    raise AssertionError(f"neither an outcome nor a refusal: {answer!r}") from answer


class Ledger(RuleBasedStateMachine):
    """Two accounts, what the model thinks of them, and everything that was ever sent to them."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.bench.now_us = NOW_US
        self.ids = [uuid4() for _ in range(ACCOUNTS)]
        self.models = {account_id: NaiveAccount() for account_id in self.ids}
        self.accepted: list[tuple[Command, Event]] = []
        self.refused: list[Command] = []
        self.keys = 0
        self.touched: set[UUID] = set()

    @initialize(opened=st.integers(1, ACCOUNTS))
    def open_accounts(self, opened: int) -> None:
        for account_id in self.ids[:opened]:
            self.send_alone(0, open_account(account_id))
            self.send_alone(1, top_up(200, account_id, command_key=self.next_key()))

    @rule(writer=st.sampled_from(range(3)), which=st.sampled_from(range(ACCOUNTS)))
    def open_account(self, writer: int, which: int) -> None:
        self.send_alone(writer, open_account(self.ids[which]))

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def one_command(self, data: st.DataObject, writer: int) -> None:
        self.send_alone(writer, self.draw_command(data))

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def one_more_command(self, data: st.DataObject, writer: int) -> None:
        self.send_alone(writer, self.draw_command(data, self.ids[0]))

    @rule(data=st.data())
    def many_commands_at_once(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(2, 8))
        sendings = [(data.draw(st.sampled_from(range(3))), self.draw_command(data)) for _ in range(size)]
        for place in data.draw(st.lists(st.integers(0, size - 1), max_size=3)):
            sendings.append((data.draw(st.sampled_from(range(3))), drawn_anew(sendings[place][1])))
        self.send_together(sendings)

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def a_unit(self, data: st.DataObject, writer: int) -> None:
        account_id = data.draw(st.sampled_from(self.ids))
        unit = [self.draw_command(data, account_id) for _ in range(data.draw(st.integers(2, 4)))]
        model = copy.deepcopy(self.models[account_id])
        expected = ""
        for command in unit:
            expected = expected or self.predict(model, command, writer)

        answer = self.bench.send_unit(writer, unit)

        if isinstance(answer, errors.Refused):
            # That an id is taken shows only when the freeze is written, so another refusal of the unit may come before.
            assert answer.code == expected or (
                "freeze_exists" in (answer.code, expected) and freezes_twice(unit, self.models[account_id])
            )
            for command in unit:
                self.refused.append(command)
            self.follow(account_id)
            return
        assert expected == ""
        for command, outcome in zip(unit, answer, strict=True):
            self.remember(command, outcome.event)
        self.follow(account_id)
        assert self.models[account_id] == model

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def the_same_request_again(self, data: st.DataObject, writer: int) -> None:
        command, event = pick(data, self.accepted)

        (answer,) = self.bench.send([(writer, drawn_anew(command))])

        assert answer == Outcome(event, replayed=True)
        self.touched.add(command.account_id)

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def another_request_under_a_used_key(self, data: st.DataObject, writer: int) -> None:
        command, event = pick(data, self.accepted)
        other = self.draw_command(data, command.account_id)
        other = msgspec.structs.replace(other, command_key=command.command_key)

        (answer,) = self.bench.send([(writer, other)])

        if other.digest() == command.digest():
            assert answer == Outcome(event, replayed=True)
        else:
            assert isinstance(answer, errors.IdempotencyKeyReused)
        self.touched.add(command.account_id)

    @rule(data=st.data(), writer=st.sampled_from(range(3)))
    def what_was_refused_again(self, data: st.DataObject, writer: int) -> None:
        command = pick(data, self.refused or [self.accepted[0][0]])
        self.send_alone(writer, drawn_anew(command))

    @rule(us=st.sampled_from([1, SECOND_US, 2 * SECOND_US]))
    def time_passes(self, us: int) -> None:
        self.bench.now_us += us

    @invariant()
    def everything_adds_up(self) -> None:
        for account_id in self.touched:
            model = self.models[account_id]
            account = check_account(self.bench.connection, account_id)
            assert model.heads() == (
                account.version, account.available, account.frozen, account.credited, account.spent, account.expired,
                account.reversed,
            )  # fmt: skip
            assert {lot.number: (lot.left, lot.frozen, lot.expired, lot.reversed) for lot in model.lots.values()} == {
                lot.number: (lot.remaining, lot.frozen, lot.expired, lot.reversed) for lot in account.lots.values()
            }
            assert {freeze_id: one.state for freeze_id, one in model.freezes.items()} == {
                freeze_id: one.state.name for freeze_id, one in account.freezes.items()
            }
        self.touched.clear()

    def teardown(self) -> None:
        check_totals(self.bench.connection)

    def send_alone(self, writer: int, command: Command) -> None:
        """Send one command; the model says beforehand what must come of it."""
        model = copy.deepcopy(self.models[command.account_id])
        earlier = self.event_under(command)
        expected = self.predict(model, command, writer) if earlier is None else ""

        (answer,) = self.bench.send([(writer, command)])

        if earlier is not None:
            self.check_replay(command, earlier, answer)
        elif isinstance(answer, Outcome):
            assert expected == ""
            assert not answer.replayed
            self.remember(command, answer.event)
        else:
            assert answer.code == expected
            self.refused.append(command)
        self.follow(command.account_id)
        if isinstance(answer, Outcome):
            assert self.models[command.account_id] == model

    def send_together(self, sendings: list[tuple[int, Command]]) -> None:
        """Send many at once. In whatever order they were taken, each answer must be right in that order."""
        answers = self.bench.send(sendings)

        for (_, command), answer in zip(sendings, answers, strict=True):
            if isinstance(answer, Outcome) and not answer.replayed:
                self.remember(command, answer.event)
        moments = {account_id: self.follow(account_id) for account_id in self.ids}
        for (writer, command), answer in zip(sendings, answers, strict=True):
            if isinstance(answer, Outcome):
                assert answer.event == self.event_under(command)
            else:
                assert answer.code in self.possible_refusals(moments[command.account_id], command, writer)
                self.refused.append(command)

    def possible_refusals(self, moments: list[NaiveAccount], command: Command, writer: int) -> Iterator[str]:
        """Every refusal that this command could have met between two of the events that were written meanwhile."""
        for moment in moments:
            yield self.predict(copy.deepcopy(moment), command, writer)
            if isinstance(command, commands.Freeze) and command.freeze_id in moment.freezes:
                yield "freeze_exists"

    def predict(self, model: NaiveAccount, command: Command, writer: int) -> str:
        """Let the model perform the command as a writer would; return the code of its refusal, if it refuses."""
        now_us = max(self.bench.now_us + SKEWS_US[writer], model.time_us)
        try:
            if not isinstance(command, commands.ExpireLot):
                for number in model.due_lots(now_us):
                    model.perform(batch.expire_lot(command.account_id, number), now_us)
            model.perform(command, now_us)
        except Refusal as refusal:
            return refusal.code
        return ""

    def follow(self, account_id: UUID) -> list[NaiveAccount]:
        """Let the model perform what was written since; return what it was before, between and after."""
        self.touched.add(account_id)
        model = self.models[account_id]
        moments = [copy.deepcopy(model)]
        for event in events_of(self.bench.connection, account_id, after_version=model.version):
            command = self.command_of(event)
            assert model.perform(command, event.recorded_at_us) == event.amount_microcredits
            assert model.version == event.version
            assert model.available == event.available_after_microcredits
            assert model.frozen == event.frozen_after_microcredits
            moments.append(copy.deepcopy(model))
        return moments

    def command_of(self, event: Event) -> Command:
        for command, accepted in self.accepted:
            if accepted == event:
                return command
        lot_number = int(event.command_key.removeprefix("holdfast:expire-lot:"))
        command = batch.expire_lot(event.account_id, lot_number)
        self.remember(command, event)
        return command

    def remember(self, command: Command, event: Event) -> None:
        if (command, event) not in self.accepted:
            self.accepted.append((command, event))

    def event_under(self, command: Command) -> Event | None:
        for accepted, event in self.accepted:
            if (accepted.account_id, accepted.command_key) == (command.account_id, command.command_key):
                return event
        return None

    def check_replay(self, command: Command, earlier: Event, answer: Answer) -> None:
        if earlier.request_digest == command.digest():
            assert answer == Outcome(earlier, replayed=True)
        else:
            assert isinstance(answer, errors.IdempotencyKeyReused)

    def next_key(self) -> str:
        self.keys += 1
        return f"key {self.keys}"

    def draw_command(  # noqa: C901, PLR0911, PLR0912 -- one case for each kind of command
        self, data: st.DataObject, account_id: UUID | None = None
    ) -> Command:
        """Draw a command that has a chance: of lots, freezes and reversals, mostly those that exist.

        What is drawn never depends on the state, which differs from run to run when writers race; what it means does.
        """
        account_id = account_id or data.draw(st.sampled_from(self.ids))
        model = self.models[account_id]
        amount, credit, delay_us = data.draw(debits), data.draw(credits_in), data.draw(delays_us)
        flag = data.draw(st.booleans())
        place = data.draw(places)
        common: dict[str, Any] = {"account_id": account_id, "command_key": self.next_key()}
        incoming: dict[str, Any] = common | {
            "priority": data.draw(priorities),
            "expires_at_us": None if delay_us is None else self.bench.now_us + delay_us,
        }
        unused = [freeze_id for freeze_id in FREEZE_IDS if freeze_id not in model.freezes]
        still_open = [freeze_id for freeze_id, one in model.freezes.items() if one.state == "open"]
        standing = [version for version, one in model.reversals.items() if not one.reinstated]
        new_id = at(place, [*unused, FREEZE_IDS[0]])
        freeze_id = at(place, [*still_open * 4, *FREEZE_IDS[:4]])
        lot_number = at(place, [*model.lots, *model.lots, 1, 2])
        whole = model.lots[lot_number].amount if lot_number in model.lots else amount
        match data.draw(st.sampled_from(KINDS)):
            case "top_up":
                return top_up(credit, **incoming)
            case "grant":
                return grant(credit, **incoming)
            case "freeze":
                return freeze(amount, freeze_id=new_id, ttl_us=max(0, delay_us or SECOND_US), **common)
            case "confirm":
                return confirm(freeze_id, data.draw(st.one_of(st.none(), st.just(0), debits)), **common)
            case "rollback":
                return rollback(freeze_id, **common)
            case "expire_freeze":
                return expire_freeze(freeze_id, **common)
            case "charge":
                return charge(amount, at_most=flag, **common)
            case "adjust_up":
                return adjust(credit, **common)
            case "adjust_down":
                return adjust(-amount, allow_negative=flag, **common)
            case "expire_lot":
                return batch.expire_lot(account_id, lot_number) if flag else expire_lot(lot_number, **common)
            case "expire_early":
                return expire_lot(lot_number, keep_microcredits=amount, **common)
            case "reverse":
                return reverse(lot_number, whole if flag else amount, **common)
            case _:
                return reinstate(at(place, [*standing * 4, *model.reversals, 2]), **common)


def at(place: int, among: Sequence[T]) -> T:
    return among[place % len(among)]


def pick(data: st.DataObject, among: Sequence[T]) -> T:
    return at(data.draw(places), among)


def drawn_anew(command: Command) -> Command:
    """The same request as the edge would send it again: with the ids it draws drawn once more."""
    if "lot_id" in command.__struct_fields__:
        return msgspec.structs.replace(command, lot_id=uuid4())
    return command


def freezes_twice(unit: list[Command], model: NaiveAccount) -> bool:
    ids = [command.freeze_id for command in unit if isinstance(command, commands.Freeze)]
    return len(set(ids)) < len(ids) or any(freeze_id in model.freezes for freeze_id in ids)


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with Bench(database_url) as bench:
        yield bench


def run_machine(bench: Bench, *, examples: int, steps: int) -> None:
    Ledger.bench = bench
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.timeout(300)
def test_no_credit_is_lost_or_made_by_any_commands(bench: Bench) -> None:
    run_machine(bench, examples=200, steps=30)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_no_credit_is_lost_or_made_by_any_commands_for_long(bench: Bench) -> None:
    run_machine(bench, examples=2_000, steps=60)
