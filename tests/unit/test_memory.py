"""What a database of ours keeps in memory depends on what there is."""

from pathlib import Path

import pytest

from ops.services import memory
from ops.services.memory import LEAST_MB, MOST_MB, SHARE, buffers_mb, limits

GIGABYTE = 2**30


@pytest.mark.parametrize(
    ("limit", "expected_mb"), [(GIGABYTE, LEAST_MB), (SHARE * 300 * 2**20, 300), (2**60, MOST_MB), (None, MOST_MB)]
)
def test_buffers_are_a_share_of_the_memory_within_bounds(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, expected_mb: int
) -> None:
    def sysconf(name: str) -> int:
        return 2**28 if name == "SC_PHYS_PAGES" else 4_096

    monkeypatch.setattr("os.sysconf", sysconf)
    monkeypatch.setattr(memory, "limits", lambda: [] if limit is None else [limit])

    assert buffers_mb() == expected_mb


@pytest.mark.parametrize(
    ("member", "name"), [("0::/unit/inner\n", "memory.max"), ("7:cpu,memory:/unit/inner\n", "memory.limit_in_bytes")]
)
def test_the_limits_of_a_group_and_of_those_above_it_are_found(tmp_path: Path, member: str, name: str) -> None:
    (tmp_path / "unit" / "inner").mkdir(parents=True)
    (tmp_path / "unit" / "inner" / name).write_text("max\n")
    (tmp_path / "unit" / name).write_text(f"{GIGABYTE}\n")
    (tmp_path / "member").write_text(f"3:devices:/\n{member}")
    hierarchies = {"": (tmp_path, "memory.max"), "memory": (tmp_path, "memory.limit_in_bytes")}

    assert list(limits(tmp_path / "member", hierarchies)) == [GIGABYTE]
    assert list(limits(tmp_path / "absent", hierarchies)) == []
