"""What an audit finds."""

from typing import Final
from uuid import UUID

import msgspec

MOST_FINDINGS: Final = 100
"""Per part of an audit: who reads more knows already that everything is wrong."""

_LAST: Final = 2**63


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it must be, and the event it is about where one can be named."""

    check: str
    problem: str
    seq: int | None = None
    account_id: UUID | None = None
    version: int | None = None

    @property
    def place(self) -> tuple[int, str, int]:
        """Sort key: the order of the log, then what is in no order."""
        seq = _LAST if self.seq is None else self.seq
        return (seq, str(self.account_id or "~"), _LAST if self.version is None else self.version)

    def __str__(self) -> str:
        event = "" if self.version is None else f":{self.version}"
        where = "" if self.account_id is None else f" {self.account_id}{event}"
        seq = "" if self.seq is None else f" seq {self.seq}"
        return f"{self.check}{seq}{where}: {self.problem}"


class Findings:
    """A bounded list of findings, which counts what it drops."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.count = 0

    def add(
        self,
        check: str,
        problem: str,
        *,
        seq: int | None = None,
        account_id: UUID | None = None,
        version: int | None = None,
    ) -> None:
        """Note a finding."""
        self.count += 1
        if len(self.kept) < MOST_FINDINGS:
            self.kept.append(Finding(check=check, problem=problem, seq=seq, account_id=account_id, version=version))
