"""Events as they are stored: encoding, the hash chain, and the events of old that must be readable for ever."""

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import batch
from ledger.account import Account, Decision, FreezeState, evolve, fold
from ledger.commands import Command
from ledger.decide import decide
from ledger.events import BODY_OF_KIND, GENESIS_HASH, Body, Event, Kind, chain_hash, encode_body
from tests.builders import (
    ACCOUNT_ID,
    FREEZE_ID,
    LOT_ID,
    NOW_US,
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
from tests.ledger_state import hash_by_hand

GOLDEN = Path(__file__).parent.parent / "golden" / "events.jsonl"


@dataclass(frozen=True)
class Golden:
    """An event as it was written when its kind was first stored."""

    event: Event
    previous_hash: bytes


def golden_events() -> list[Golden]:
    found: list[Golden] = []
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        event = Event(
            account_id=UUID(fields["account_id"]),
            version=fields["version"],
            kind=Kind[fields["kind"]],
            amount_microcredits=fields["amount_microcredits"],
            available_after_microcredits=fields["available_after_microcredits"],
            frozen_after_microcredits=fields["frozen_after_microcredits"],
            recorded_at_us=fields["recorded_at_us"],
            command_key=fields["command_key"],
            request_digest=fields["request_digest"],
            body=fields["body"].encode(),
            hash=bytes.fromhex(fields["hash"]),
        )
        found.append(Golden(event, bytes.fromhex(fields["previous_hash"])))
    return found


def chain_of(previous_hash: bytes, event: Event) -> bytes:
    return chain_hash(
        previous_hash,
        account_id=event.account_id,
        version=event.version,
        kind=event.kind,
        amount_microcredits=event.amount_microcredits,
        available_after_microcredits=event.available_after_microcredits,
        frozen_after_microcredits=event.frozen_after_microcredits,
        recorded_at_us=event.recorded_at_us,
        command_key=event.command_key,
        request_digest=event.request_digest,
        body=event.body,
    )


def recorded(account: Account, *given_commands: Command, now_us: int = NOW_US) -> list[Event]:
    return [
        batch.record(account, command, command.digest(), decide(account, command, now_us=now_us), now_us)
        for command in given_commands
    ]


int8 = st.integers(-(2**63), 2**63 - 1)


@given(
    st.builds(
        Event,
        account_id=st.uuids(),
        version=st.integers(1, 2**63 - 1),
        kind=st.sampled_from(Kind),
        amount_microcredits=int8,
        available_after_microcredits=int8,
        frozen_after_microcredits=int8,
        recorded_at_us=int8,
        command_key=st.text(min_size=1, max_size=200).filter(lambda key: key.isprintable()),
        request_digest=int8,
        body=st.binary(max_size=300),
        hash=st.just(b""),
    ),
    st.binary(min_size=32, max_size=32),
)
def test_the_hash_is_that_of_the_documented_bytes(event: Event, previous_hash: bytes) -> None:
    assert chain_of(previous_hash, event) == hash_by_hand(previous_hash, event)


@pytest.mark.parametrize("golden", golden_events(), ids=lambda golden: golden.event.kind.name)
def test_a_golden_event_still_decodes_and_has_the_same_hash(golden: Golden) -> None:
    event = golden.event

    body = event.decoded_body()

    assert type(body) is BODY_OF_KIND[event.kind]
    assert encode_body(body) == event.body, "a new field changes the bytes of old events: it must be optional"
    assert chain_of(golden.previous_hash, event) == event.hash
    assert hash_by_hand(golden.previous_hash, event) == event.hash


def test_there_is_a_golden_event_of_every_kind() -> None:
    assert {golden.event.kind for golden in golden_events()} == set(Kind)


def test_the_golden_events_are_a_chain_and_fold_to_what_they_say() -> None:
    events = golden_events()
    previous_hash = GENESIS_HASH
    account = Account(ACCOUNT_ID)
    for version, golden in enumerate(events, start=1):
        assert golden.event.version == version
        assert golden.previous_hash == previous_hash
        account = fold(ACCOUNT_ID, [one.event for one in events[:version]])
        assert account.available == golden.event.available_after_microcredits
        assert account.frozen == golden.event.frozen_after_microcredits
        previous_hash = golden.event.hash

    assert account.credited == 2**60 + 205_000_006
    assert (account.spent, account.expired, account.reversed) == (105_000_000, 7, 0)
    assert {
        lot.number: (lot.remaining, lot.frozen) for lot in account.lots.values() if lot.remaining or lot.frozen
    } == {
        13: (10_000_000, 0),
        14: (0, 89_999_999),
        16: (89_999_999, 1_152_921_504_516_846_977),
    }
    states = [frozen.state for frozen in account.freezes.values()]
    assert states == [FreezeState.confirmed, FreezeState.rolled_back, FreezeState.open]
    assert account.reversals[12].reinstated


def test_the_numbers_of_the_kinds_never_change() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        "account_opened": 1,
        "credits_topped_up": 2,
        "credits_granted": 3,
        "credits_frozen": 4,
        "freeze_confirmed": 5,
        "freeze_rolled_back": 6,
        "credits_charged": 7,
        "credits_adjusted": 8,
        "credits_expired": 9,
        "top_up_reversed": 10,
        "reversal_reinstated": 11,
    }
    assert {state.name: state.value for state in FreezeState} == {"open": 0, "confirmed": 1, "rolled_back": 2}


def test_a_field_this_code_does_not_know_does_not_stop_it_from_reading_an_event() -> None:
    (event,) = recorded(Account(ACCOUNT_ID), open_account())

    newer = msgspec.structs.replace(event, body=event.body[:-1] + b',"added_later":1}')

    assert newer.decoded_body() == event.decoded_body()


def later_shapes(kind: Kind) -> list[type[Body]]:
    """The body of a kind as it may be after three more changes: each adds an optional field to the one before."""
    shapes: list[type[Body]] = []
    shape = BODY_OF_KIND[kind]
    for number, (of_type, default) in enumerate([(str, ""), (int | None, None), (tuple[int, ...], ())], start=2):
        later = msgspec.defstruct(
            f"{shape.__name__}{number}", [(f"added_in_version_{number}", of_type, default)], bases=(shape,),
            frozen=True, kw_only=True, omit_defaults=True, gc=False,
        )  # fmt: skip
        assert issubclass(later, Body)
        shape = later
        shapes.append(shape)
    return shapes


def test_events_of_old_hash_and_fold_the_same_after_three_later_shapes_of_their_kinds() -> None:
    events = [golden.event for golden in golden_events()]
    expected = fold(ACCOUNT_ID, events)

    for number in range(3):
        account = Account(ACCOUNT_ID)
        for golden in golden_events():
            event = golden.event
            later = later_shapes(event.kind)[number]
            body = msgspec.json.decode(event.body, type=later)
            assert type(body) is later
            assert encode_body(body) == event.body
            assert chain_of(golden.previous_hash, msgspec.structs.replace(event, body=encode_body(body))) == event.hash
            evolve(account, Decision(event.kind, event.amount_microcredits, body), recorded_at_us=event.recorded_at_us)
            account.head = event.hash
        assert msgspec.structs.astuple(account) == msgspec.structs.astuple(expected)


def test_every_decision_folds_to_the_state_it_was_made_on() -> None:
    other = uuid4()
    account = Account(ACCOUNT_ID)
    events = recorded(
        account,
        open_account(), top_up(100), grant(50), freeze(30, freeze_id=FREEZE_ID), confirm(FREEZE_ID, 10),
        freeze(9, freeze_id=other), rollback(other), charge(5), charge(1_000, at_most=True), top_up(100),
        reverse(2, 100), reinstate(11), adjust(-3, allow_negative=True), adjust(8, lot_id=LOT_ID),
        top_up(4, expires_at_us=NOW_US + 1), top_up(9), expire_lot(16, keep_microcredits=3),
    )  # fmt: skip
    last = uuid4()
    later = [expire_lot(15), freeze(2, freeze_id=last, ttl_us=0), expire_freeze(last)]
    events += recorded(account, *later, now_us=NOW_US + 1)

    folded = fold(ACCOUNT_ID, events)

    assert folded == account
    assert [event.version for event in events] == list(range(1, 21))
    assert {event.kind for event in events} == set(Kind)


def test_replaying_half_and_then_the_rest_is_replaying_all() -> None:
    account = Account(ACCOUNT_ID)
    events = recorded(account, open_account(), top_up(100), freeze(30, freeze_id=FREEZE_ID), rollback(FREEZE_ID))

    for length in range(len(events) + 1):
        half = fold(ACCOUNT_ID, events[:length])
        assert half.version == length
        assert half.conserves()


def test_an_expiry_that_leaves_credits_behind_unsaid_is_noticed_when_it_is_replayed() -> None:
    events = recorded(Account(ACCOUNT_ID), open_account(), top_up(100), expire_lot(2, keep_microcredits=60))
    assert events[2].body == b'{"lot_number":2,"kept_microcredits":60}'

    for falsified in (
        msgspec.structs.replace(events[2], amount_microcredits=39),
        msgspec.structs.replace(events[2], body=b'{"lot_number":2}'),
        msgspec.structs.replace(events[2], body=b'{"lot_number":2,"kept_microcredits":61}'),
    ):
        with pytest.raises(AssertionError):
            fold(ACCOUNT_ID, [*events[:2], falsified])


def test_a_falsified_event_is_noticed_when_it_is_replayed() -> None:
    events = recorded(Account(ACCOUNT_ID), open_account(), top_up(100), charge(100))
    falsified = msgspec.structs.replace(events[1], amount_microcredits=99)

    with pytest.raises(AssertionError):
        fold(ACCOUNT_ID, [events[0], falsified, events[2]])
