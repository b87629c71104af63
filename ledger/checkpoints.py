"""Checkpoints (https://c2sp.org/tlog-checkpoint): the size and root of the sealed log, signed and published.

Whoever keeps one can show later whether anything before it was changed. What is younger than the last is not yet
evident to anybody outside.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.merkle import InvalidProof, check_consistency
from ledger.notes import SigningKey, VerifierKey, open_note, text_of
from ledger.proofs import Checkpoint
from ledger.tiles import EdgeError
from ledger.tree import prove_consistency

sql: Final = statements.load("ledger")


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint as it is kept."""

    size: int
    root: bytes
    note: str
    signed_at: datetime


class LogForked(Exception):
    """The log no longer contains what was signed before: it was changed, or restored to before it."""


def sign(size: int, root: bytes, key: SigningKey) -> str:
    """Return the note for a log of this size and root."""
    return key.sign(Checkpoint(key.name, size, root).text())


def open_checkpoint(note: str, trusted: Iterable[VerifierKey]) -> Checkpoint:
    """Read a checkpoint that a trusted key signed.

    Raises:
        NoteRejected: none did, or it is malformed.
    """
    return Checkpoint.parse(open_note(note, trusted))


def claimed_by(note: str) -> Checkpoint:
    """Read what a note claims, whoever signed it.

    Raises:
        NoteRejected: it is malformed.
    """
    return Checkpoint.parse(text_of(note))


async def read_latest(connection: AsyncConnection[Any]) -> SignedCheckpoint | None:
    """Read the last checkpoint that was signed, if there is one."""
    row = await (await connection.execute(sql.READ_LATEST_CHECKPOINT)).fetchone()
    return None if row is None else SignedCheckpoint(*row)


async def read_sealed(connection: AsyncConnection[Any]) -> tuple[int, bytes] | None:
    """Read how many events are sealed and the root over them; nothing while none is."""
    return await (await connection.execute(sql.READ_SEALED)).fetchone()


async def append(connection: AsyncConnection[Any], key: SigningKey) -> SignedCheckpoint | None:
    """Sign where the log is now and keep it; return it, or nothing if the last checkpoint says as much already.

    Of two at once one is kept. The caller commits, and publishes only then.

    Raises:
        LogForked: the log does not contain what the last checkpoint says. Nothing is signed.
    """
    sealed, latest = await read_sealed(connection), await read_latest(connection)
    if sealed is None:
        return None
    size, root = sealed
    if latest is not None:
        if latest.size == size and latest.root == root:
            return None
        await check_extends(connection, Checkpoint(key.name, latest.size, latest.root), size=size, root=root)
    note = sign(size, root, key)
    row = await (await connection.execute(sql.INSERT_CHECKPOINT, {"size": size, "root": root, "note": note})).fetchone()
    return None if row is None else SignedCheckpoint(size, root, note, row[0])


async def check_extends(connection: AsyncConnection[Any], old: Checkpoint, *, size: int, root: bytes) -> None:
    """Check, by the tree, that a log of this size and root still contains an older checkpoint.

    Raises:
        LogForked: it does not.
    """
    if old.size > size:
        raise LogForked(f"a checkpoint says {old.size} events were sealed, and there are {size}")
    try:
        path = await prove_consistency(connection, old.size, size=size)
        check_consistency(old_size=old.size, old_root=old.root, size=size, root=root, path=path)
    except (InvalidProof, EdgeError) as error:
        raise LogForked(f"the log is not the one of the checkpoint of {old.size} events: {error}") from error


async def lag_s(connection: AsyncConnection[Any]) -> float | None:
    """Age, in seconds, of the oldest sealed event that is in no checkpoint; zero when all are, nothing without any."""
    row = await (await connection.execute(sql.READ_CHECKPOINT_LAG)).fetchone()
    assert row is not None, "it has one row"
    return None if row[0] is None else max(0.0, row[0])
