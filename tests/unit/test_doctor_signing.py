"""`holdfast doctor` looks at the key that signs checkpoints, and shows nothing of it."""

from pathlib import Path

import pytest

from ledger.notes import SigningKey, VerifierKey
from ops.checks.finding import Finding, State
from ops.checks.signing import check_signing
from workers.checkpoints.files import KEY
from workers.checkpoints.publisher import FOLDER
from workers.signing import FILE, VARIABLE

OURS = SigningKey.generate("holdfast.example/ours")
OTHER = SigningKey.generate("holdfast.example/other")


def look(data_dir: Path, **environment: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_signing(data_dir, environment)}


def states(found: dict[str, Finding]) -> dict[str, State]:
    return {name: finding.state for name, finding in found.items()}


def keep(data_dir: Path, text: str, *, mode: int = 0o600) -> None:
    (data_dir / FILE).write_text(text)
    (data_dir / FILE).chmod(mode)


def publish(data_dir: Path, key: VerifierKey | str) -> None:
    (data_dir / FOLDER).mkdir()
    (data_dir / FOLDER / KEY).write_text(f"{key}\n")


def test_no_key_is_fine_and_none_is_made_by_looking(tmp_path: Path) -> None:
    found = look(tmp_path)

    assert states(found) == {"signing key": State.fine}
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_private_and_published_is_fine(tmp_path: Path) -> None:
    keep(tmp_path, OURS.text())
    publish(tmp_path, OURS.verifier)

    found = look(tmp_path)

    assert set(states(found)) == {"signing key file", "signing key", "published key"}
    assert set(states(found).values()) == {State.fine}
    assert str(OURS.verifier) in found["signing key"].found


def test_the_key_of_the_environment_is_the_one_that_signs(tmp_path: Path) -> None:
    keep(tmp_path, OTHER.text(), mode=0o644)
    publish(tmp_path, OURS.verifier)

    assert set(states(look(tmp_path, **{VARIABLE: OURS.text()})).values()) == {State.fine}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_wrong(tmp_path: Path, mode: int) -> None:
    keep(tmp_path, OURS.text(), mode=mode)

    found = look(tmp_path)

    assert states(found) == {"signing key file": State.wrong, "signing key": State.fine}
    assert "chmod 600" in found["signing key file"].mend


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", OURS.text()[:-4], str(OURS.verifier), "schlüssel"],
    ids=["empty", "nonsense", "cut", "public", "not ASCII"],
)
def test_a_malformed_key_is_wrong_and_not_shown(tmp_path: Path, text: str) -> None:
    keep(tmp_path, text)

    found = look(tmp_path)["signing key"]

    assert found.state is State.wrong
    assert not text or text not in found.found + found.mend


def test_another_key_than_the_published_one_is_wrong(tmp_path: Path) -> None:
    publish(tmp_path, OTHER.verifier)

    found = look(tmp_path, **{VARIABLE: OURS.text()})["published key"]

    assert found.state is State.wrong
    assert str(OTHER.verifier) in found.found


def test_a_published_key_that_is_none_is_wrong(tmp_path: Path) -> None:
    publish(tmp_path, "nonsense")

    assert look(tmp_path, **{VARIABLE: OURS.text()})["published key"].state is State.wrong
