"""The key that signs checkpoints: well-formed, kept from others, and the one whose public half auditors have."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ledger.notes import KeyInvalid, SigningKey, VerifierKey
from ops.checks.finding import Finding, State, judge
from workers.checkpoints.files import KEY
from workers.checkpoints.publisher import FOLDER
from workers.signing import FILE, VARIABLE

NAME: Final = "signing key"
PUBLISHED: Final = "published key"


def check_signing(data_dir: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the key that the clock would sign with. No key is made, and only the public half of one is shown."""
    path = data_dir / FILE
    given = environment.get(VARIABLE, "").strip()
    if not given and not path.exists():
        yield Finding(NAME, State.fine, f"none yet: {VARIABLE} is not set, and the clock makes one at its first start")
        return
    where = VARIABLE if given else str(path)
    if not given:
        yield _privacy(path)
    try:
        key = SigningKey.parse(given or path.read_text(encoding="ascii"))
    except (KeyInvalid, UnicodeDecodeError, OSError) as error:
        # What cannot be decoded would be in the text of the error.
        reason = error if isinstance(error, KeyInvalid) else type(error).__name__
        mend = "put the right key there, from where you keep it; `holdfast audit key --new NAME` makes another"
        yield Finding(NAME, State.wrong, f"{where}: {reason}", mend)
        return
    yield Finding(NAME, State.fine, f"{where}, which signs as {key.verifier}")
    yield from _published(data_dir / FOLDER / KEY, key.verifier)


def _privacy(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    return judge(
        "signing key file",
        fine=not mode & 0o077,
        found=f"{path} has mode {mode:04o}",
        mend=f"keep it from others: chmod 600 {path}; if anybody may have read it, sign with a new key from now on",
    )


def _published(path: Path, signs: VerifierKey) -> Iterator[Finding]:
    """Hold the key against the one that stands beside the published checkpoints, if there are any."""
    if not path.exists():
        return
    try:
        published = VerifierKey.parse(path.read_text(encoding="utf-8"))
    except (KeyInvalid, UnicodeDecodeError, OSError) as error:
        mend = "delete it: the clock writes it anew with the next checkpoint"
        yield Finding(PUBLISHED, State.wrong, f"{path}: {type(error).__name__}", mend)
        return
    yield judge(
        PUBLISHED,
        fine=published == signs,
        found=f"{path} is {'the one that signs' if published == signs else f'{published}, which is another'}",
        mend="if the key was changed on purpose, give auditors both: old checkpoints hold under the old one;"
        " if not, find out who changed it",
    )
