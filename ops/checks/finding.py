"""What one look at an installation came to."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How something is."""

    fine = "fine"
    wrong = "wrong"
    unreachable = "unreachable"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `mend` says what to do, and is empty where there is nothing to do."""

    name: str
    state: State
    found: str
    mend: str = ""


def judge(name: str, *, fine: bool, found: str, mend: str) -> Finding:
    """Make a finding that keeps its advice to itself where all is well."""
    return Finding(name, State.fine, found) if fine else Finding(name, State.wrong, found, mend)


def unreachable(name: str, error: Exception) -> Finding:
    """Make a finding of something that could not be looked at."""
    return Finding(name, State.unreachable, str(error), "make it reachable, then run `holdfast doctor` again")
