"""Signed notes and checkpoints: those of the specification, and everything that must not be believed."""

import base64

import pytest

from ledger.checkpoints import claimed_by, open_checkpoint, sign
from ledger.merkle import EMPTY_ROOT
from ledger.notes import KeyInvalid, NoteRejected, SigningKey, VerifierKey, open_note
from ledger.proofs import Checkpoint

# From https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
SPEC_CHECKPOINT = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""

KEY = SigningKey.generate("holdfast.example/log")
OTHER = SigningKey.generate("holdfast.example/other")
NOTE = KEY.sign("one\n\ntwo\n")


def test_the_note_of_the_specification_is_accepted() -> None:
    assert open_note(SPEC_NOTE, [VerifierKey.parse(SPEC_KEY)]) == "This is an example message.\n"


def test_the_checkpoint_of_the_specification_is_read() -> None:
    checkpoint = claimed_by(SPEC_CHECKPOINT)

    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert base64.b64encode(checkpoint.root) == b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    assert SPEC_CHECKPOINT.startswith(checkpoint.text())


def test_keys_survive_being_written_and_read() -> None:
    assert SigningKey.parse(KEY.text()) == KEY
    assert VerifierKey.parse(str(KEY.verifier)) == KEY.verifier
    assert VerifierKey.parse(SPEC_KEY + "\n").id.hex() == "530d903a"


def test_a_signing_key_shows_nothing_of_itself() -> None:
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)


def test_a_note_opens_with_its_key_and_keeps_empty_lines() -> None:
    assert open_note(NOTE, [OTHER.verifier, KEY.verifier]) == "one\n\ntwo\n"


def test_signatures_of_strangers_are_ignored_beside_a_trusted_one() -> None:
    both = NOTE + OTHER.sign("one\n\ntwo\n").rpartition("\n\n")[2]

    assert open_note(both, [KEY.verifier]) == "one\n\ntwo\n"
    assert open_note(both, [OTHER.verifier]) == "one\n\ntwo\n"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text without signatures\n",
        NOTE.replace("one", "1"),
        NOTE.rstrip("\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("holdfast.example/log", "holdfast.example/lug"),
        NOTE[:-4] + "A=\n",
        NOTE + "\n",
        "\t" + NOTE,
        "x" * 200_000 + NOTE,
    ],
)
def test_a_note_that_was_changed_is_rejected(note: str) -> None:
    with pytest.raises(NoteRejected):
        open_note(note, [KEY.verifier])


def test_a_note_that_only_strangers_signed_is_rejected() -> None:
    with pytest.raises(NoteRejected):
        open_note(NOTE, [OTHER.verifier])
    with pytest.raises(NoteRejected):
        open_note(NOTE, [])


def test_one_wrong_signature_of_a_trusted_key_spoils_the_note() -> None:
    wrong = KEY.sign("something else\n").rpartition("\n\n")[2]

    with pytest.raises(NoteRejected):
        open_note(NOTE + wrong, [KEY.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        SPEC_KEY.replace("530d903a", "530d903b"),
        SPEC_KEY.replace("example.com/foo", "example.com/fob"),
        SPEC_KEY.replace("+Ae", "+Be"),
        SPEC_KEY[:-4],
        SPEC_KEY.replace("example.com/foo", "two words"),
        SPEC_KEY.replace("example.com/foo", ""),
        "PRIVATE+KEY+" + SPEC_KEY[:-5],
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    for parse in (VerifierKey.parse, SigningKey.parse):
        with pytest.raises(KeyInvalid) as refused:
            parse(text)
        assert not text or text not in str(refused.value)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "with\nnewline"])
def test_a_name_that_would_break_a_note_is_refused(name: str) -> None:
    with pytest.raises(KeyInvalid):
        SigningKey.generate(name)


def test_a_checkpoint_opens_with_the_key_that_signed_it() -> None:
    note = sign(5, EMPTY_ROOT, KEY)

    assert open_checkpoint(note, [KEY.verifier]) == Checkpoint("holdfast.example/log", 5, EMPTY_ROOT)
    with pytest.raises(NoteRejected):
        open_checkpoint(note, [OTHER.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "origin\n",
        "origin\n5\n",
        "\n5\nR\n",
        "origin\n05\nR\n",
        "origin\n-5\nR\n",
        "origin\n\N{ARABIC-INDIC DIGIT FIVE}\nR\n",
        "origin\n1\nshort\n",
        "origin\n5\n!\n",
        "origin\n99999999999999999999\nR\n",
    ],
)
def test_a_signed_note_that_is_no_checkpoint_is_rejected(text: str) -> None:
    note = KEY.sign(text.replace("R", base64.b64encode(EMPTY_ROOT).decode()))

    with pytest.raises(NoteRejected):
        open_checkpoint(note, [KEY.verifier])
