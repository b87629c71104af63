"""Reconciling 50,000 payments: all that was planted is found, nothing else, and memory does not grow."""

import asyncio
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tests.large_books import ODD_PAYMENTS, ODD_REFUNDS, LargeBooks
from tests.ledger_state import check_everything

COUNT = 50_000
FEW = 500
MOST_BYTES = 128 * 2**20
MOST_GROWTH_BYTES = 24 * 2**20
TIMEOUT_S = 240


class Ran(msgspec.Struct, frozen=True):
    """What one run reported, and the most memory it had."""

    document: Any
    peak_bytes: int

    @property
    def differing(self) -> dict[str, str]:
        """What does not match in the end."""
        stands = {line["id"]: line["after"] or line for line in self.document["lines"]}
        return {id_: f"{now['kind']}/{now['detail']}" for id_, now in stands.items() if now["kind"] != "matched"}


async def reconcile(url: str, count: int, *options: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.reconciling_process", str(count), *options,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    return Ran(msgspec.json.decode(out), int(err.decode().splitlines()[-1]))


@pytest.mark.timeout(900)
async def test_all_that_differs_among_many_payments_is_found_and_posted_once(database_url: str) -> None:
    books = LargeBooks(COUNT)
    await books.write(database_url)
    expected = books.expected()

    few = await reconcile(database_url, FEW, "--narrow")
    found = await reconcile(database_url, COUNT)
    posted = await reconcile(database_url, COUNT, "--apply")
    state = check_everything(database_url)
    again = await reconcile(database_url, COUNT, "--apply")

    assert few.document["totals"]["matched"] > FEW
    assert found.differing == expected
    assert set(expected.values()) == {*ODD_PAYMENTS.values(), *ODD_REFUNDS.values()}
    assert found.document["totals"]["matched"] > COUNT
    assert posted.differing == {id_: kind for id_, kind in expected.items() if id_ not in books.postable()}
    assert again.differing == posted.differing
    assert not [line for line in again.document["lines"] if line["id"] in books.postable()]
    assert check_everything(database_url) == state
    for ran in (found, posted, again):
        assert ran.peak_bytes < MOST_BYTES
        assert ran.peak_bytes - few.peak_bytes < MOST_GROWTH_BYTES
