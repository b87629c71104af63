"""What a database of ours keeps in memory depends on what there is."""

from pathlib import Path

import pytest

from ops.services.memory import LEAST_MB, MOST_MB, SHARE, buffers_mb


@pytest.mark.parametrize(
    ("limit", "expected_mb"),
    [(64 * 2**20, LEAST_MB), (SHARE * 300 * 2**20, 300), (2**60, MOST_MB), ("max", MOST_MB), ("", MOST_MB)],
)
def test_buffers_are_a_share_of_the_memory_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: object, expected_mb: int
) -> None:
    def sysconf(name: str) -> int:
        return 2**28 if name == "SC_PHYS_PAGES" else 4_096

    monkeypatch.setattr("os.sysconf", sysconf)
    (tmp_path / "limit").write_text(f"{limit}\n")

    assert buffers_mb((str(tmp_path / "absent"), str(tmp_path / "limit"))) == expected_mb
