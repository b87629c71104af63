"""Starts one program as somebody other than root, and has it stopped when its parent dies.

Run as a script (`python -I -S launch.py PARENT_PID SIGNAL IDENTITY PROGRAM ARGUMENT...`), never imported: it changes
the process it runs in and then becomes PROGRAM, so the process id the parent knows is the program's own. A script and
not a `preexec_fn`, because the parent may have threads.

IDENTITY is `same`, `namespace:UID:GID` (a user namespace in which the caller is called UID; files keep their owner) or
`drop:UID:GID` (really become UID, keeping of root's rights only that to read and write files anywhere, where the
container grants it: a data directory below /root stays usable without a change of its modes).
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
CANNOT_CHANGE_IDENTITY = 125


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def enter_user_namespace(uid: int, gid: int) -> None:
    """Be called `uid` and `gid` from here on, while staying the same user to the rest of the machine."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _checked(_libc().unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def drop_to_user(uid: int, gid: int) -> None:
    """Become `uid` for good, keeping the right to reach files anywhere if this process has it to give."""
    libc = _libc()
    _checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kept = 1 << CAP_DAC_OVERRIDE
    header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)(_CapabilityData(kept, kept, kept), _CapabilityData(0, 0, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when the parent goes, however it goes.

    Set after every change of identity, which would clear it.
    """
    _checked(
        _libc().prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0),
        "prctl(PR_SET_PDEATHSIG)",
    )
    # The parent may have died before the line above: then nobody would ever send the signal.
    if os.getppid() != parent_pid:
        sys.exit(0)


def main(arguments: list[str]) -> None:
    """Change identity, tie this process to its parent, and become the program."""
    parent_pid, signal_number, identity = (
        int(arguments[0]),
        int(arguments[1]),
        arguments[2],
    )
    kind, _, ids = identity.partition(":")
    try:
        if kind != "same":
            uid, gid = (int(part) for part in ids.split(":"))
            (enter_user_namespace if kind == "namespace" else drop_to_user)(uid, gid)
        if sys.platform == "linux":
            die_with_parent(parent_pid, signal_number)
    except OSError as refused:
        sys.stderr.write(f"cannot run as {identity}: {refused}\n")
        sys.exit(CANNOT_CHANGE_IDENTITY)
    os.execv(arguments[3], arguments[3:])  # noqa: S606 - to become that program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
