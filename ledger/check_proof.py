"""`python -m ledger.check_proof PROOF KEY [OLD_CHECKPOINT]`: check a proof file without any database.

KEY is a file with the verifier key, got from somewhere else than the proof. Exit: 0 the proof holds, 1 it does not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ledger.merkle import InvalidProof
from ledger.notes import KeyInvalid, NoteRejected, VerifierKey
from ledger.proofs import Checked, Proof, check


def describe(checked: Checked) -> list[str]:
    """Say in words what a proof shows."""
    event = checked.event
    what = f"{event.account_id}:{event.version} ({event.kind}, {event.amount_microcredits} microcredits)"
    lines = [
        f"event {what} is number {checked.seq} in the log {checked.checkpoint.origin}",
        f"the log had {checked.checkpoint.size} events when this checkpoint was signed",
    ]
    if checked.old is not None:
        lines.append(f"its first {checked.old.size} events are those of the older checkpoint")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Check the proof and say what it shows; return the exit status."""
    if len(arguments) not in {2, 3}:
        sys.stderr.write(f"{__doc__}")
        return 2
    try:
        proof, key, *old = [Path(argument).read_text(encoding="utf-8") for argument in arguments]
        checked = check(Proof.parse(proof), [VerifierKey.parse(key)], old_note=old[0] if old else None)
    except (OSError, UnicodeDecodeError, InvalidProof, NoteRejected, KeyInvalid) as error:
        sys.stderr.write(f"not proven: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in describe(checked)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
