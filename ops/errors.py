"""What stops the `holdfast` command: each error is one clear line and one exit status."""

from __future__ import annotations


class OpsError(Exception):
    """The command cannot go on; the message is the line that is printed."""

    exit_status = 1


class CheckFailed(OpsError):
    """Everything could be reached, and something that was looked at is wrong."""


class CannotReach(OpsError):
    """Something the command needs is missing, unreachable, taken, or of a version that is not supported."""

    exit_status = 3
