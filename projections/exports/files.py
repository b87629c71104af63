"""Files of an export: written once, hashed while they are written, and listed in a manifest that comes last."""

import contextlib
import hashlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from psycopg.adapt import Buffer

MANIFEST: Final = "manifest.json"
BLOCK_BYTES: Final = 1 << 20


class ExportedFile(msgspec.Struct, frozen=True):
    """One file of an export."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds, and of which moment it is. `root` is that of the tree of the first `seq` events."""

    format: str
    seq: int
    root: str | None
    sealed_at: str
    trial_balance_sha256: str
    files: tuple[ExportedFile, ...]


class ExportExists(Exception):
    """The directory holds an export already."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} holds an export already; choose another directory")


class HashedFile:
    """A file that is hashed while it is written, and counts its rows."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._hash = hashlib.sha256()
        self._bytes = 0
        self.rows = 0

    def write(self, data: Buffer) -> None:
        """Append bytes."""
        view = memoryview(data)
        self._file.write(view)
        self._hash.update(view)
        self._bytes += view.nbytes

    def summary(self) -> ExportedFile:
        """Say what was written."""
        return ExportedFile(self._path.name, self.rows, self._bytes, self._hash.hexdigest())


def prepare(directory: Path) -> None:
    """Make the directory.

    Raises:
        ExportExists: it holds an export already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / MANIFEST).exists():
        raise ExportExists(directory)


@contextlib.contextmanager
def hashed_file(path: Path) -> Generator[HashedFile]:
    """Write a file under another name, and give it its own once it is whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb", buffering=BLOCK_BYTES) as file:
        yield HashedFile(path, file)
    partial.replace(path)


def summary_of(path: Path, rows: int) -> ExportedFile:
    """Hash a file that another program wrote."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return ExportedFile(path.name, rows, path.stat().st_size, digest.hexdigest())


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest: with it the export is whole."""
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    with hashed_file(directory / MANIFEST) as file:
        file.write(encoded)
