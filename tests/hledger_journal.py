"""A strict reader of hledger's journal format, as far as our exports use it: a judge where hledger is not installed.

Written from hledger's manual and not from the exporter: "Journal", "Balance assertions" and "check --strict" of
https://hledger.org/hledger.html. It takes what hledger takes of this part of the format and refuses the rest; what it
makes of hostile files is compared with hledger itself wherever that is installed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

Balances = dict[tuple[str, str], Decimal]

_ACCOUNT = re.compile(r"account (\S(?:.*\S)?)")
_COMMODITY = re.compile(r"commodity \d+\.(\d*) ([A-Za-z]+)")
_HEADER = re.compile(r"(\d{4}-\d{2}-\d{2})(?: [*!])?(?: \(([^)]*)\))?(?: (.*))?")
_AMOUNT = r"(-?)(\d+(?:\.\d+)?) ([A-Za-z]+)"
# Two spaces end the name of an account, which may have single ones in it.
_POSTING = re.compile(rf"\s+(\S+(?: \S+)*)(?:  +{_AMOUNT}(?: = {_AMOUNT})?)?\s*")


class Rejected(AssertionError):
    """The file is not a journal that `hledger check --strict` accepts."""


class _Transaction:
    def __init__(self, line: int, day: date) -> None:
        self.line = line
        self.day = day
        self.postings: list[tuple[int, str, str, Decimal, Decimal | None]] = []
        """Line number, account, commodity, amount, and the balance that is asserted after it."""


class _Reader:
    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.commodities: set[str] = set()
        self.transactions: list[_Transaction] = []
        self._open: _Transaction | None = None

    def read(self, text: str) -> None:
        for number, line in enumerate(text.split("\n"), start=1):
            content = line.partition(";")[0]
            if not content.strip():
                if not line.strip():
                    self._open = None
                continue
            if content[0] in " \t":
                self._posting(number, content)
            elif content[0].isdigit():
                self._header(number, content.rstrip())
            else:
                self._directive(number, content.rstrip())

    def _directive(self, number: int, content: str) -> None:
        self._open = None
        if account := _ACCOUNT.fullmatch(content):
            self.accounts.add(account[1])
        elif commodity := _COMMODITY.fullmatch(content):
            self.commodities.add(commodity[2])
        else:
            raise Rejected(f"line {number}: not a directive: {content}")

    def _header(self, number: int, content: str) -> None:
        header = _HEADER.fullmatch(content)
        if header is None:
            raise Rejected(f"line {number}: not a transaction: {content}")
        try:
            day = date.fromisoformat(header[1])
        except ValueError:
            raise Rejected(f"line {number}: no such day") from None
        self._open = _Transaction(number, day)
        self.transactions.append(self._open)

    def _posting(self, number: int, content: str) -> None:
        posting = _POSTING.fullmatch(content)
        if posting is None or self._open is None:
            raise Rejected(f"line {number}: not a posting of a transaction: {content}")
        account, sign, amount, commodity, asserted_sign, asserted, asserted_commodity = posting.groups()
        if amount is None:
            raise Rejected(f"line {number}: an amount is missing")
        if asserted_commodity not in {None, commodity}:
            raise Rejected(f"line {number}: two commodities in one posting")
        balance = None if asserted is None else Decimal(asserted_sign + asserted)
        self._open.postings.append((number, account, commodity, Decimal(sign + amount), balance))


def read_balances(path: Path) -> Balances:
    """Check a journal as `hledger check --strict` does, and return the balances that are not zero.

    Raises:
        Rejected: the first thing that is wrong: what cannot be read, is not declared, does not balance, or asserts a
            balance that is not there.
    """
    reader = _Reader()
    reader.read(path.read_text(encoding="utf-8"))
    for transaction in reader.transactions:
        _check_balanced(transaction)
        for number, account, commodity, _, _ in transaction.postings:
            if account not in reader.accounts:
                raise Rejected(f"line {number}: account {account} is not declared")
            if commodity not in reader.commodities:
                raise Rejected(f"line {number}: commodity {commodity} is not declared")
    return _assert_balances(reader.transactions)


def _check_balanced(transaction: _Transaction) -> None:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for _, _, commodity, amount, _ in transaction.postings:
        sums[commodity] += amount
    if any(sums.values()):
        raise Rejected(f"line {transaction.line}: the transaction does not balance")


def _assert_balances(transactions: list[_Transaction]) -> Balances:
    """Check assertions day by day, and within a day in the order of the file; each of its one commodity."""
    balances: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for transaction in sorted(transactions, key=lambda transaction: transaction.day):
        for number, account, commodity, amount, asserted in transaction.postings:
            balances[account, commodity] += amount
            if asserted is not None and balances[account, commodity] != asserted:
                raise Rejected(f"line {number}: {account} has {balances[account, commodity]} and not {asserted}")
    return {key: balance for key, balance in balances.items() if balance}
