"""Who an embedded server runs as: Postgres refuses to run as root, and root starts containers.

Not root: as we are. Root: in a user namespace, where files stay root's and no mode is changed; where the kernel or a
container forbids namespaces, as an unprivileged user. A data directory that another user began is served as that user.
"""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
import sys
from pathlib import Path

import msgspec

from ops.errors import CannotReach

LAUNCHER = Path(__file__).with_name("launch.py")
PROBE_TIMEOUT_S = 10
NOBODY_UID = 65534


class Identity(msgspec.Struct, frozen=True):
    """A user to run as. `owner_uid` is who its files belong to, seen from outside; None leaves them as they are."""

    argument: str
    owner_uid: int | None = None
    owner_gid: int | None = None

    def adopt(self, path: Path) -> None:
        """Give everything below `path` to this user, where it is not already."""
        if self.owner_uid is None or self.owner_gid is None or not path.exists():
            return
        if path.stat().st_uid == self.owner_uid:
            return
        for entry in (path, *path.rglob("*")):
            os.chown(entry, self.owner_uid, self.owner_gid, follow_symlinks=False)


AS_WE_ARE = Identity("same")


def in_namespace(user: pwd.struct_passwd) -> Identity:
    """Be root outside and `user` inside a user namespace."""
    return Identity(f"namespace:{user.pw_uid}:{user.pw_gid}", 0, 0)


def dropped_to(user: pwd.struct_passwd) -> Identity:
    """Become `user` for good."""
    return Identity(f"drop:{user.pw_uid}:{user.pw_gid}", user.pw_uid, user.pw_gid)


def identity_for(data_dir: Path) -> Identity:
    """Choose who the servers of `data_dir` run as: one user for all of them, as they share a directory for sockets.

    Raises:
        CannotReach: we are root, and this machine has no other user.
    """
    if os.geteuid() != 0:
        return AS_WE_ARE
    began = [path for path in (data_dir / "postgres", data_dir / "redis") if path.exists()]
    owner_uid = began[0].stat().st_uid if began else 0
    if owner_uid != 0:
        return dropped_to(pwd.getpwuid(owner_uid))
    user = unprivileged_user()
    return in_namespace(user) if _namespaces_work(user.pw_uid, user.pw_gid) else dropped_to(user)


def unprivileged_user() -> pwd.struct_passwd:
    """Find a user other than root. It must exist by name: initdb looks it up."""
    users = [user for user in pwd.getpwall() if user.pw_uid != 0]
    if not users:
        raise CannotReach(
            "Postgres does not run as root and this machine has no other user: add one, or set DATABASE_URL"
        )
    return min(users, key=lambda user: (user.pw_uid != NOBODY_UID, user.pw_uid))


def launched(identity: Identity, *, parent_death_signal: int, command: list[str]) -> list[str]:
    """Wrap `command` so that it runs as `identity` and is signalled when this process dies."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [
        *launcher,
        str(os.getpid()),
        str(parent_death_signal),
        identity.argument,
        *command,
    ]


@functools.cache
def _namespaces_work(uid: int, gid: int) -> bool:
    identity = Identity(f"namespace:{uid}:{gid}")
    command = launched(identity, parent_death_signal=9, command=[sys.executable, "-I", "-S", "-c", ""])
    probe = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)  # noqa: S603 - our own words
    return probe.returncode == 0
