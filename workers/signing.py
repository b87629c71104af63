"""The key that signs checkpoints: from the environment, or made once and kept in the data directory."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ledger.notes import KeyInvalid, SigningKey
from workers.settings import SettingsError

VARIABLE: Final = "HOLDFAST_SIGNING_KEY"
FILE: Final = "signing.key"
PRIVATE_MODE: Final = 0o600


def signing_key(environment: Mapping[str, str]) -> SigningKey | None:
    """Return the key of this installation; without one in the environment, that of its data directory, made if need be.

    Nothing where there is neither a key nor a data directory: then nothing is signed.

    Raises:
        SettingsError: the key is malformed. The message never has it in it.
    """
    given = environment.get(VARIABLE, "").strip()
    if given:
        return _parsed(given, VARIABLE)
    directory = environment.get("HOLDFAST_DATA_DIR", "").strip()
    return _kept_in(Path(directory)) if directory else None


def _kept_in(directory: Path) -> SigningKey:
    path = directory / FILE
    if not path.exists():
        _make(path)
    return _parsed(path.read_text(encoding="ascii"), str(path))


def _make(path: Path) -> None:
    """Make a key under a name that no other log has. Of two processes that do so at once, one keeps its own."""
    key = SigningKey.generate(f"holdfast.local/{secrets.token_hex(6)}")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_MODE), "w") as file:
        file.write(key.text() + "\n")
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(unfinished)
    unfinished.unlink()


def _parsed(text: str, where: str) -> SigningKey:
    try:
        return SigningKey.parse(text)
    except KeyInvalid as error:
        raise SettingsError(f"{where}: {error}") from None
