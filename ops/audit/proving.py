"""Making proofs: of an event, against the last signed checkpoint."""

from __future__ import annotations

import contextlib
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from ledger import statements
from ledger.checkpoints import SignedCheckpoint, claimed_by, read_latest
from ledger.events import GENESIS_HASH
from ledger.notes import NoteRejected
from ledger.proofs import Growth, Proof, ProvenEvent
from ledger.rows import event_of_row
from ledger.tiles import EdgeError
from ledger.tree import prove_consistency, prove_inclusion
from ops.errors import CheckFailed

sql: Final = statements.load("ledger")


async def latest_checkpoint(connection: AsyncConnection[Any]) -> SignedCheckpoint:
    """Return the last signed checkpoint.

    Raises:
        CheckFailed: there is none.
    """
    latest = await read_latest(connection)
    if latest is None:
        raise CheckFailed("no checkpoint was signed yet: the clock signs one a few seconds after the first event")
    return latest


async def prove(connection: AsyncConnection[Any], event: str, *, old_note: str | None) -> Proof:
    """Prove that an event, `<account>:<version>` or a seq, is in the log of the last checkpoint.

    With an older checkpoint, prove too that the log grew from it.

    Raises:
        CheckFailed: there is no such event, no checkpoint covers it yet, or the log does not reach the older one.
    """
    latest = await latest_checkpoint(connection)
    row = await (await connection.execute(sql.READ_EVENT, _place(event))).fetchone()
    if row is None:
        raise CheckFailed(f"there is no event {event}")
    *columns, seq, previous_hash = row
    if seq is None or seq > latest.size:
        raise CheckFailed(f"event {event} is in no checkpoint yet: try again in some seconds")
    growth = None if old_note is None else await _growth(connection, old_note, latest)
    try:
        path = await prove_inclusion(connection, seq - 1, size=latest.size)
    except EdgeError as error:
        raise CheckFailed(f"the tree is damaged ({error}): run `holdfast audit verify`") from error
    proven = ProvenEvent.of(event_of_row(columns), previous_hash or GENESIS_HASH)
    return Proof(event=proven, index=seq - 1, path=tuple(path), checkpoint=latest.note, growth=growth)


async def _growth(connection: AsyncConnection[Any], old_note: str, latest: SignedCheckpoint) -> Growth:
    try:
        old = claimed_by(old_note)
    except NoteRejected as error:
        raise CheckFailed(f"the older checkpoint: {error}") from error
    if not 0 < old.size <= latest.size:
        raise CheckFailed(f"the older checkpoint has {old.size} events and the last one here {latest.size}")
    return Growth(old.size, tuple(await prove_consistency(connection, old.size, size=latest.size)))


def _place(event: str) -> dict[str, object]:
    account, _, version = event.rpartition(":")
    with contextlib.suppress(ValueError):
        if account:
            return {"account_id": UUID(account), "version": int(version), "seq": None}
        return {"account_id": None, "version": None, "seq": int(version)}
    raise CheckFailed(f"{event!r} is neither ACCOUNT:VERSION nor a seq")
