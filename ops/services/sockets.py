"""Where the servers' Unix sockets live: a private directory with a path short enough for the kernel."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

from ops.errors import CannotReach
from ops.services.identity import Identity

SOCKET_PATH_LIMIT_BYTES = 103  # 107 on Linux, 103 on macOS
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
PLAIN_PATH = re.compile(r"[\w./ +@-]+")  # a comma, for one, would part it in a Postgres URL


def socket_directory(data_dir: Path) -> Path:
    """Return `<data-dir>/run`, or for a path too long or too odd one below /tmp that is named after it."""
    inside = data_dir.resolve() / "run"
    short = len(os.fsencode(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_LIMIT_BYTES
    if short and PLAIN_PATH.fullmatch(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"holdfast-{os.geteuid()}-{digest}"  # noqa: S108 - prepare() makes sure that it is ours


def prepare(directory: Path, identity: Identity) -> None:
    """Make `directory` private to us and to the user the server runs as.

    Raises:
        CannotReach: somebody else already made it: /tmp is everybody's, and who owns the directory owns the socket.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    owners = {
        os.geteuid(),
        os.geteuid() if identity.owner_uid is None else identity.owner_uid,
    }
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise CannotReach(f"{directory} belongs to somebody else: remove it, or choose another --data-dir")
    directory.chmod(0o700)
    identity.adopt(directory)


def remove_postgres_sockets(directory: Path) -> None:
    """Remove what a killed Postgres left in `directory`. The caller knows that none is running."""
    for left_behind in directory.glob(".s.PGSQL.*"):
        left_behind.unlink(missing_ok=True)


def release(directory: Path) -> None:
    """Remove `directory` if no server is left in it, so that nothing of ours stays in /tmp."""
    with contextlib.suppress(OSError):
        directory.rmdir()
