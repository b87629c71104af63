"""The second judge of exported journals accepts and refuses what hledger does; beside it where hledger is installed."""

import csv
import io
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.hledger_journal import Balances, Rejected, read_balances

GOOD = """\
; a comment
account Assets:Clearing
account Equity:Credits:Used
account Liabilities:Of Customers
commodity 1000.000000 CREDIT
commodity 1000.000000 USD

2026-01-05 (7) credits_topped_up приход "№ 1"  ; event:0198/2
    Assets:Clearing  9.99 USD  ; lot:2
    Liabilities:Of Customers  -9.99 USD  ; lot:2
    Equity:Credits:Used  0.000001 CREDIT
    Liabilities:Of Customers  -0.000001 CREDIT

2026-01-03 (8) booked before
    Assets:Clearing  1152921504606.846976 USD
    Liabilities:Of Customers  -1152921504606.846976 USD

2026-01-31 balances at the end of the month
    Assets:Clearing  0 USD = 1152921504616.836976 USD
    Liabilities:Of Customers  0 CREDIT = -0.000001 CREDIT
"""

BALANCES: Balances = {
    ("Assets:Clearing", "USD"): Decimal("1152921504616.836976"),
    ("Liabilities:Of Customers", "USD"): Decimal("-1152921504616.836976"),
    ("Equity:Credits:Used", "CREDIT"): Decimal("0.000001"),
    ("Liabilities:Of Customers", "CREDIT"): Decimal("-0.000001"),
}

HOSTILE = {
    "an amount that was changed on one side": ("  9.99 USD", "  9.98 USD"),
    "a millionth on one side": ("    Equity:Credits:Used  0.000001", "    Equity:Credits:Used  0.000002"),
    "an assertion that does not hold": ("= 1152921504616.836976", "= 1152921504616.836977"),
    "an assertion of the other sign": ("= -0.000001", "= 0.000001"),
    "an account that is not declared": ("account Assets:Clearing\n", ""),
    "a commodity that is not declared": ("commodity 1000.000000 USD\n", ""),
    "another commodity on one side": ("    Assets:Clearing  9.99 USD", "    Assets:Clearing  9.99 CREDIT"),
    "a day that there is not": ("2026-01-03", "2026-02-30"),
    "a line that was lost": ("    Assets:Clearing  1152921504606.846976 USD\n", ""),
    "a transaction that was lost": (GOOD[GOOD.index("2026-01-03") : GOOD.index("2026-01-31")], ""),
    "a transaction that is there twice": (
        GOOD[GOOD.index("2026-01-03") : GOOD.index("2026-01-31")],
        2 * GOOD[GOOD.index("2026-01-03") : GOOD.index("2026-01-31")],
    ),
    "an assertion before what it counts": ("2026-01-31", "2026-01-04"),
    "a posting of no transaction": ("2026-01-31 balances at the end of the month\n", ""),
    "words where an amount should be": ("0.000001 CREDIT\n    Liab", "some CREDIT\n    Liab"),
    "a directive that there is not": ("; a comment", "no comment"),
}


def hledger(path: Path) -> Balances:
    """Ask hledger itself.

    Raises:
        Rejected: it refuses the file.
    """
    command = ["hledger", "check", "--strict", "-f", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Rejected
    command = ["hledger", "balance", "-f", str(path), "--flat", "--no-total", "--layout=bare", "-O", "csv"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = csv.DictReader(io.StringIO(printed.stdout))
    return {(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows if Decimal(row["balance"])}


JUDGES = [read_balances, hledger] if shutil.which("hledger") else [read_balances]


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__)
def test_a_journal_in_order_has_the_balances_of_its_postings(judge: Callable[[Path], Balances], tmp_path: Path) -> None:
    path = tmp_path / "good.journal"
    path.write_text(GOOD, encoding="utf-8")

    assert judge(path) == BALANCES


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.__name__)
@pytest.mark.parametrize("what", HOSTILE)
def test_a_journal_with_something_wrong_is_refused(
    judge: Callable[[Path], Balances], what: str, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.journal"
    right, wrong = HOSTILE[what]
    assert right in GOOD
    path.write_text(GOOD.replace(right, wrong, 1), encoding="utf-8")

    with pytest.raises(Rejected):
        judge(path)
