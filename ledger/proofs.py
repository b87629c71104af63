"""Proof files: that an event is in the log of a signed checkpoint, checked without the log or its database.

The format is https://c2sp.org/tlog-proof, text that other tools read too. Its `extra` line has what the event's hash is
made from, and how the log grew from an older checkpoint, as JSON.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from ledger.events import Event, Kind, chain_hash
from ledger.merkle import HASH_BYTES, InvalidProof, check_consistency, check_inclusion, leaf_hash
from ledger.notes import NoteRejected, VerifierKey, open_note

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_CHARACTERS: Final = 1_000_000
MAX_SIZE_DIGITS: Final = 19


class Checkpoint(msgspec.Struct, frozen=True):
    """How many events the log had, and the root over them (https://c2sp.org/tlog-checkpoint)."""

    origin: str
    """The name of the log: that of the key that signs for it."""
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a note as a checkpoint.

        Raises:
            NoteRejected: it is none.
        """
        origin, size, encoded = (*text.split("\n"), "", "", "")[:3]
        plain = size.isascii() and size.isdigit() and len(size) <= MAX_SIZE_DIGITS and size == str(int(size))
        try:
            root = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            root = b""
        if not origin or not plain or len(root) != HASH_BYTES:
            raise NoteRejected("the note is not a checkpoint")
        return cls(origin, int(size), root)


class Growth(msgspec.Struct, frozen=True):
    """How the log of the checkpoint grew from one of this size."""

    from_size: int
    path: tuple[bytes, ...]


class ProvenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the hash of an event is made from."""

    account_id: UUID
    version: int
    kind: str
    amount_microcredits: int
    available_after_microcredits: int
    frozen_after_microcredits: int
    recorded_at_us: int
    command_key: str
    request_digest: int
    body: str
    previous_hash: bytes

    @classmethod
    def of(cls, event: Event, previous_hash: bytes) -> "ProvenEvent":
        """Take an event and the hash of its predecessor in the account."""
        return cls(
            account_id=event.account_id,
            version=event.version,
            kind=event.kind.name,
            amount_microcredits=event.amount_microcredits,
            available_after_microcredits=event.available_after_microcredits,
            frozen_after_microcredits=event.frozen_after_microcredits,
            recorded_at_us=event.recorded_at_us,
            command_key=event.command_key,
            request_digest=event.request_digest,
            body=event.body.decode(),
            previous_hash=previous_hash,
        )

    def hash(self) -> bytes:
        """Compute the event's hash from its content."""
        return chain_hash(
            self.previous_hash,
            account_id=self.account_id,
            version=self.version,
            kind=Kind[self.kind],
            amount_microcredits=self.amount_microcredits,
            available_after_microcredits=self.available_after_microcredits,
            frozen_after_microcredits=self.frozen_after_microcredits,
            recorded_at_us=self.recorded_at_us,
            command_key=self.command_key,
            request_digest=self.request_digest,
            body=self.body.encode(),
        )


class _Extra(msgspec.Struct, frozen=True):
    event: ProvenEvent
    growth: Growth | None = None


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """An event, its way to the root of a checkpoint, and perhaps that checkpoint's way from an older one."""

    event: ProvenEvent
    index: int
    """The event's `seq - 1`."""
    path: tuple[bytes, ...]
    checkpoint: str
    """The signed note."""
    growth: Growth | None = None

    def text(self) -> str:
        """Return the proof as it is kept in a file."""
        extra = base64.b64encode(msgspec.json.encode(_Extra(self.event, self.growth))).decode("ascii")
        lines = [HEADER, f"extra {extra}", f"index {self.index}", *map(_base64, self.path)]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def parse(cls, text: str) -> "Proof":
        """Read a proof file. Nothing in it is to be believed before it is checked.

        Raises:
            InvalidProof: it is malformed.
        """
        head, gap, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if len(text) > MAX_PROOF_CHARACTERS or not gap or len(lines) < 3 or lines[0] != HEADER:
            raise InvalidProof("this is not a proof file")
        try:
            extra = msgspec.json.decode(base64.b64decode(_after("extra ", lines[1]), validate=True), type=_Extra)
            index = int(_after("index ", lines[2])[:MAX_SIZE_DIGITS])
            path = tuple(base64.b64decode(line, validate=True) for line in lines[3:])
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise InvalidProof("the proof file is damaged") from None
        return cls(event=extra.event, index=index, path=path, checkpoint=checkpoint, growth=extra.growth)


class Checked(msgspec.Struct, frozen=True):
    """What a proof was found to show."""

    event: ProvenEvent
    seq: int
    checkpoint: Checkpoint
    old: Checkpoint | None


def check(proof: Proof, trusted: Sequence[VerifierKey], *, old_note: str | None = None) -> Checked:
    """Check a proof against keys that are trusted and, if one is given, an older checkpoint that was kept.

    Raises:
        InvalidProof: it does not show that the event is in the log, or that the log contains the older checkpoint.
        NoteRejected: a checkpoint is not signed by a trusted key.
    """
    checkpoint = Checkpoint.parse(open_note(proof.checkpoint, trusted))
    old = None if old_note is None else Checkpoint.parse(open_note(old_note, trusted))
    try:
        leaf = leaf_hash(proof.event.hash())
    except (KeyError, OverflowError, ValueError, struct.error):
        raise InvalidProof("the proof file is damaged") from None
    check_inclusion(index=proof.index, size=checkpoint.size, leaf=leaf, path=proof.path, root=checkpoint.root)
    if old is not None:
        if old.size == checkpoint.size:
            path: tuple[bytes, ...] = ()
        elif proof.growth is None or proof.growth.from_size != old.size:
            raise InvalidProof(f"the proof does not say how the log grew from {old.size} events: make one for them")
        else:
            path = proof.growth.path
        check_consistency(old_size=old.size, old_root=old.root, size=checkpoint.size, root=checkpoint.root, path=path)
    return Checked(proof.event, proof.index + 1, checkpoint, old)


def _after(prefix: str, line: str) -> str:
    if not line.startswith(prefix):
        raise ValueError(prefix)
    return line.removeprefix(prefix)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
