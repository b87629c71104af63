"""Which keys and which older checkpoints an audit goes by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ledger.audit.findings import Finding
from ledger.audit.log import Claim
from ledger.checkpoints import claimed_by, open_checkpoint
from ledger.notes import KeyInvalid, NoteRejected, SigningKey, VerifierKey
from ops.errors import CheckFailed
from workers.checkpoints.files import KEY, LATEST
from workers.checkpoints.publisher import FOLDER
from workers.signing import FILE, VARIABLE


class Trust(msgspec.Struct, frozen=True):
    """Keys, and what was published under them."""

    keys: tuple[VerifierKey, ...]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]
    """Checkpoints that are not what they should be."""


def trusted_keys(given: Sequence[str], data_dir: Path, environment_key: str) -> tuple[VerifierKey, ...]:
    """Return the keys given, as text or as files; without any, those this installation knows of itself.

    Raises:
        CheckFailed: what was given is no key.
    """
    if given:
        return tuple(_key(text) for text in given)
    secrets = (environment_key, _read(data_dir / FILE))
    keys = [_signing_key(text).verifier for text in secrets if text]
    public = _read(data_dir / FOLDER / KEY)
    if public:
        keys.append(_key(public))
    return tuple(dict.fromkeys(keys))


def gather(files: Sequence[Path], data_dir: Path, keys: tuple[VerifierKey, ...]) -> Trust:
    """Read the checkpoints to hold the log against: those given, else the last one that was published here."""
    claims: list[Claim] = []
    findings: list[Finding] = []
    published = data_dir / FOLDER / LATEST
    for path in files or ([published] if published.exists() else []):
        try:
            note = path.read_text(encoding="utf-8")
            checkpoint = open_checkpoint(note, keys) if keys else claimed_by(note)
        except (NoteRejected, UnicodeDecodeError) as error:
            findings.append(Finding(check="signature", problem=f"{path}: {error}"))
            continue
        claims.append(Claim(checkpoint.size, checkpoint.root, "given", f"the checkpoint {path}"))
    return Trust(keys, tuple(claims), tuple(findings))


def _key(text: str) -> VerifierKey:
    path = Path(text)
    try:
        return VerifierKey.parse(path.read_text(encoding="utf-8") if "+" not in text or path.exists() else text)
    except (OSError, UnicodeDecodeError, KeyInvalid) as error:
        raise CheckFailed(f"{text} is neither a verifier key nor a file with one: {error}") from None


def _signing_key(text: str) -> SigningKey:
    try:
        return SigningKey.parse(text)
    except KeyInvalid as error:
        raise CheckFailed(f"{VARIABLE} or {FILE}: {error}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
