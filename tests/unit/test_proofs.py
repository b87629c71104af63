"""Proof files: what is accepted without any database, and everything that is not."""

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from ledger.check_proof import main
from ledger.checkpoints import sign
from ledger.events import GENESIS_HASH, Event, Kind
from ledger.merkle import InvalidProof, consistency_ranges, inclusion_ranges, leaf_hash, root_of
from ledger.notes import NoteRejected, SigningKey
from ledger.proofs import Growth, Proof, ProvenEvent, check
from tests.trees import entry

KEY = SigningKey.generate("holdfast.example/log")
STRANGER = SigningKey.generate("holdfast.example/stranger")
EVENT = Event(
    UUID(int=7),
    1,
    Kind.credits_granted,
    5,
    5,
    0,
    1_790_000_000_000_000,
    "key",
    -3,
    b'{"reason":"gr\xc3\xbc\xc3\x9fe"}',
    b"",
)
INDEX, SIZE, OLD_SIZE = 300, 700, 500
PROVEN = ProvenEvent.of(EVENT, GENESIS_HASH)
LEAVES = [leaf_hash(PROVEN.hash() if index == INDEX else entry(index)) for index in range(SIZE)]


def root(start: int, end: int) -> bytes:
    return root_of(b"".join(LEAVES[start:end]))


def paths(ranges: list[tuple[int, int]]) -> tuple[bytes, ...]:
    return tuple(root(*whole) for whole in ranges)


NOTE = sign(SIZE, root(0, SIZE), KEY)
OLD_NOTE = sign(OLD_SIZE, root(0, OLD_SIZE), KEY)
PROOF = Proof(
    event=PROVEN,
    index=INDEX,
    path=paths(inclusion_ranges(INDEX, SIZE)),
    checkpoint=NOTE,
    growth=Growth(OLD_SIZE, paths(consistency_ranges(OLD_SIZE, SIZE))),
)
TRUSTED = [KEY.verifier]


def changed(proof: Proof, **fields: object) -> Proof:
    return msgspec.structs.replace(proof, **fields)


def test_a_proof_survives_its_file_and_holds() -> None:
    read = Proof.parse(PROOF.text())

    checked = check(read, TRUSTED, old_note=OLD_NOTE)

    assert read == PROOF
    assert (checked.seq, checked.event.body) == (INDEX + 1, '{"reason":"grüße"}')
    assert checked.old is not None
    assert (checked.checkpoint.size, checked.old.size) == (SIZE, OLD_SIZE)


def test_a_proof_is_a_proof_file_of_the_specification() -> None:
    lines = PROOF.text().split("\n")

    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == f"index {INDEX}"
    assert PROOF.text().endswith("\n\n" + NOTE)


def test_without_an_older_checkpoint_inclusion_is_shown() -> None:
    assert check(changed(PROOF, growth=None), TRUSTED).old is None


def test_the_last_checkpoint_may_be_the_older_one() -> None:
    assert check(changed(PROOF, growth=None), TRUSTED, old_note=NOTE).old is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_microcredits": 6},
        {"available_after_microcredits": 6},
        {"frozen_after_microcredits": 1},
        {"recorded_at_us": 0},
        {"command_key": "other"},
        {"request_digest": 0},
        {"body": "{}"},
        {"version": 2},
        {"kind": "credits_topped_up"},
        {"kind": "no such kind"},
        {"amount_microcredits": 2**64},
        {"previous_hash": bytes([1]) * 32},
        {"account_id": UUID(int=8)},
    ],
)
def test_another_event_is_not_proven(fields: dict[str, object]) -> None:
    other = msgspec.structs.replace(PROVEN, **fields)

    with pytest.raises(InvalidProof):
        check(changed(PROOF, event=other), TRUSTED)


def test_another_place_is_not_proven() -> None:
    with pytest.raises(InvalidProof):
        check(changed(PROOF, index=INDEX - 1), TRUSTED)


def test_a_checkpoint_that_only_a_stranger_signed_is_not_believed() -> None:
    with pytest.raises(NoteRejected):
        check(changed(PROOF, checkpoint=sign(SIZE, root(0, SIZE), STRANGER)), TRUSTED)
    with pytest.raises(NoteRejected):
        check(PROOF, [])
    with pytest.raises(NoteRejected):
        check(PROOF, TRUSTED, old_note=sign(OLD_SIZE, root(0, OLD_SIZE), STRANGER))


def test_an_older_checkpoint_that_the_log_does_not_contain_is_not_shown() -> None:
    with pytest.raises(InvalidProof):
        check(PROOF, TRUSTED, old_note=sign(OLD_SIZE, leaf_hash(b"other"), KEY))
    with pytest.raises(InvalidProof):
        check(PROOF, TRUSTED, old_note=sign(SIZE, leaf_hash(b"other"), KEY))


def test_an_older_checkpoint_the_proof_was_not_made_for_is_not_shown() -> None:
    with pytest.raises(InvalidProof, match="make one"):
        check(PROOF, TRUSTED, old_note=sign(OLD_SIZE - 1, root(0, OLD_SIZE - 1), KEY))


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTE,
        PROOF.text().replace("proof@v1", "proof@v2"),
        PROOF.text().replace("extra ", "extra x"),
        PROOF.text().replace("index ", "place "),
        PROOF.text().replace("index 300", "index many"),
        "\n".join(PROOF.text().split("\n")[:3]),
        "x" * 2_000_000,
    ],
)
def test_a_damaged_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidProof):
        Proof.parse(text)


def test_the_offline_program_says_what_is_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"proof": PROOF.text(), "key": f"{KEY.verifier}\n", "old": OLD_NOTE, "stranger": f"{STRANGER.verifier}\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    proof, key, old, stranger = (str(tmp_path / name) for name in files)

    statuses = [main([proof, key, old]), main([proof, stranger]), main([proof, str(tmp_path / "none")]), main([proof])]

    said = capsys.readouterr()
    assert statuses == [0, 1, 1, 2]
    assert "number 301 in the log holdfast.example/log" in said.out
    assert "its first 500 events are those of the older checkpoint" in said.out
    assert "not proven: no trusted key" in said.err


def test_a_proof_in_a_log_of_a_million_events_is_below_a_kilobyte() -> None:
    path = [leaf_hash(b"")] * len(inclusion_ranges(123_456, 1_000_000))
    lines = changed(PROOF, path=tuple(path), index=123_456).text().partition("\nindex ")[2].partition("\n\n")[0]

    assert len(path) == 20
    assert len(lines) <= 1_000
