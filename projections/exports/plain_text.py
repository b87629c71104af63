"""The journal for plain-text accounting: hledger and beancount, both with explicit balance assertions.

Each event is one transaction that names it. At the end of every month each account's balance is asserted to the last
millionth, so that a file with a changed, missing or repeated line does not pass.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection

from projections.exports.entries import NAMES, Assertion, EntryLine, JournalEntry, read_assertions, read_entries
from projections.exports.extent import Extent
from projections.exports.files import ExportedFile, HashedFile, hashed_file
from projections.money import format_micros

FLUSH_LINES: Final = 2_000

_NO_CONTROLS: Final = dict.fromkeys((*range(32), 0x7F, 0x85, 0x2028, 0x2029), " ")


async def write_hledger(connection: AsyncConnection[Any], extent: Extent, directory: Path) -> list[ExportedFile]:
    """Write `journal.hledger`, which `hledger check --strict` accepts."""
    assertions = await read_assertions(connection, extent)
    with hashed_file(directory / "journal.hledger") as file:
        _write(file, _hledger_opening(assertions))
        await _write_entries(connection, extent, file, _hledger_entry)
        _write(file, _hledger_assertions(assertions))
    return [file.summary()]


async def write_beancount(connection: AsyncConnection[Any], extent: Extent, directory: Path) -> list[ExportedFile]:
    """Write `journal.beancount`, which `bean-check` accepts."""
    assertions = await read_assertions(connection, extent)
    with hashed_file(directory / "journal.beancount") as file:
        _write(file, _beancount_opening(assertions))
        await _write_entries(connection, extent, file, _beancount_entry)
        _write(file, _beancount_assertions(assertions))
    return [file.summary()]


async def _write_entries(
    connection: AsyncConnection[Any],
    extent: Extent,
    file: HashedFile,
    written: Callable[[JournalEntry], str],
) -> None:
    texts: list[str] = []
    async for entry in read_entries(connection, extent):
        texts.append(written(entry))
        file.rows += 1
        if len(texts) >= FLUSH_LINES:
            file.write("".join(texts).encode())
            texts.clear()
    file.write("".join(texts).encode())


def _write(file: HashedFile, lines: Iterable[str]) -> None:
    file.write("".join(f"{line}\n" for line in lines).encode())


def _commodities(assertions: Iterable[Assertion]) -> list[str]:
    return sorted({assertion.commodity for assertion in assertions})


def _about(entry: JournalEntry) -> str:
    """What the event says it is about, on one line and without what would end a description."""
    return entry.about.translate(_NO_CONTROLS).strip()


def _hledger_opening(assertions: list[Assertion]) -> Iterable[str]:
    yield "; Holdfast's journal. Amounts of CREDIT are credits; all others are money in the currency that was paid."
    yield from (f"account {name}" for name in sorted(NAMES.values()))
    yield from (f"commodity 1000.000000 {commodity}" for commodity in _commodities(assertions))
    yield ""


def _hledger_entry(entry: JournalEntry) -> str:
    about = _about(entry).replace(";", ",").replace("|", "/")
    lines = [f"{entry.booked_on} ({entry.seq}) {entry.kind} {about}".rstrip()]
    lines[0] += f"  ; event:{entry.account_id}/{entry.version}"
    for line in entry.lines:
        amount = format_micros(line.amount)
        tag = f"  ; lot:{line.lot}" if line.lot else ""
        lines.append(f"    {NAMES[line.debit]}  {amount} {line.commodity}{tag}")
        lines.append(f"    {NAMES[line.credit]}  -{amount} {line.commodity}{tag}")
    return "\n".join(lines) + "\n\n"


def _hledger_assertions(assertions: list[Assertion]) -> Iterable[str]:
    for day in sorted({assertion.day for assertion in assertions}):
        yield f"{day} balances at the end of the month"
        for assertion in assertions:
            if assertion.day == day:
                balance = format_micros(assertion.balance)
                yield f"    {assertion.account}  0 {assertion.commodity} = {balance} {assertion.commodity}"
        yield ""


def _beancount_opening(assertions: list[Assertion]) -> Iterable[str]:
    yield "; Holdfast's journal. Amounts of CREDIT are credits; all others are money in the currency that was paid."
    yield 'option "title" "Holdfast"'
    first = "1970-01-01"
    yield from (f"{first} commodity {commodity}" for commodity in _commodities(assertions))
    yield from (f"{first} open {name}" for name in sorted(NAMES.values()))
    yield ""


def _beancount_entry(entry: JournalEntry) -> str:
    about = _about(entry).replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        f'{entry.booked_on} * "{entry.kind}" "{about}"',
        f'  event: "{entry.account_id}/{entry.version}"',
        f"  seq: {entry.seq}",
    ]
    for line in entry.lines:
        lines += _beancount_postings(line)
    return "\n".join(lines) + "\n\n"


def _beancount_postings(line: EntryLine) -> Iterable[str]:
    amount = format_micros(line.amount)
    for account, sign in ((line.debit, ""), (line.credit, "-")):
        yield f"  {NAMES[account]}  {sign}{amount} {line.commodity}"
        if line.lot:
            yield f"    lot: {line.lot}"


def _beancount_assertions(assertions: list[Assertion]) -> Iterable[str]:
    """A `balance` holds at the beginning of its day, so it stands on the day after."""
    for day, account, commodity, balance in assertions:
        yield f"{day + timedelta(days=1)} balance {account}  {format_micros(balance)} ~ 0 {commodity}"
