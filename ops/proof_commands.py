"""`holdfast audit verify|checkpoint|prove|check-proof|replay|key`: what auditors ask of the log."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import msgspec

from ledger.amounts import format_credits
from ledger.audit.replay import Point
from ledger.check_proof import describe
from ledger.merkle import InvalidProof
from ledger.notes import KeyInvalid, NoteRejected, SigningKey
from ledger.proofs import Proof, check
from ops.audit import proving, trust
from ops.audit.replay import State, replay
from ops.audit.trust import trusted_keys
from ops.audit.verify import Report, verify
from ops.command import data_dir_option, json_option, run
from ops.endpoints import reached_database
from ops.errors import CheckFailed
from ops.instance import DataDirectory
from ops.output import Output
from ops.projection_commands import progress_bar
from ops.reading import opened_database
from ops.signals import StopSignals
from projections.checking import JournalCheck, check_journal
from workers.signing import VARIABLE

EXISTING: Final = click.Path(path_type=Path, dir_okay=False, exists=True)
KEY_HELP: Final = "A verifier key or a file with one; without it, the keys this installation knows of itself."
MOST_SHOWN: Final = 20


@click.command("verify")
@click.option("--checkpoint", "checkpoints", type=EXISTING, multiple=True, help="An older checkpoint that you kept.")
@click.option("--key", "keys", multiple=True, help=KEY_HELP)
@data_dir_option
@json_option
def verify_command(checkpoints: tuple[Path, ...], keys: tuple[str, ...], data_dir: Path, as_json: bool) -> None:
    """Check the whole log and everything kept beside it; name the first event that is wrong."""

    async def work(output: Output) -> None:
        held = trust.gather(checkpoints, data_dir, trusted_keys(keys, data_dir, os.environ.get(VARIABLE, "")))
        with progress_bar("verifying", output) as progress:
            async with reached_database(DataDirectory(data_dir)) as endpoints:
                # So that its temporary files go with it, however it is stopped.
                report = await StopSignals().unless_stopped(
                    verify(endpoints.database_url, claims=held.claims, trusted=held.keys, progress=progress)
                )
        async with opened_database(data_dir) as database, database.connection() as connection:
            journal = await check_journal(connection)
        findings = [*held.findings, *report.findings]
        report = msgspec.structs.replace(report, findings=findings)
        document = {"ok": not findings and journal.holds, **msgspec.to_builtins(report), "journal": journal}
        output.result(document, *_report_lines(report, journal))
        if findings:
            raise CheckFailed(f"{len(findings)} findings; the first: {findings[0]}")
        if not journal.holds:
            raise CheckFailed("the journal does not tie to the lots and accounts")

    run(work, as_json=as_json)


def _report_lines(report: Report, journal: JournalCheck) -> list[str]:
    totals = report.totals
    signatures = "signatures checked" if report.signatures_checked else "signatures not checked: no key is known"
    more = len(report.findings) - MOST_SHOWN
    parts = ("available", "frozen", "spent", "expired", "reversed")
    found_in = " + ".join(f"{part} {format_credits(getattr(totals, part))}" for part in parts)
    return [
        f"{report.events} events of {totals.accounts} accounts, {report.sealed} of them sealed by {report.ticks} ticks",
        f"{report.tiles} tiles, {report.checkpoints} checkpoints ({signatures}), root {report.root or 'none yet'}",
        f"credited {format_credits(totals.credited)} = {found_in}",
        f"read models: {', '.join(f'{name} of {seq} events' for name, seq in sorted(report.read_models.items()))}",
        f"journal of {journal.seq} events: {'ties' if journal.holds else 'DOES NOT TIE'} to {journal.lots} lots",
        *(f"FOUND {finding}" for finding in report.findings[:MOST_SHOWN]),
        *([f"and {more} more"] if more > 0 else []),
        f"{'NOT IN ORDER' if report.findings else 'everything is in order'}, {report.seconds:.1f} s",
    ]


@click.command("checkpoint")
@data_dir_option
def checkpoint_command(data_dir: Path) -> None:
    """Print the last signed checkpoint. Keep it: it shows later whether anything before it was changed."""

    async def work(_: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            click.echo((await proving.latest_checkpoint(connection)).note, nl=False)

    run(work, as_json=False)


@click.command("prove")
@click.argument("event")
@click.option("--checkpoint", type=EXISTING, help="An older checkpoint that the log is to be shown to contain.")
@data_dir_option
def prove_command(event: str, checkpoint: Path | None, data_dir: Path) -> None:
    """Print a proof that EVENT (ACCOUNT:VERSION or a seq) is in the log of the last checkpoint."""
    old_note = _text(checkpoint)

    async def work(_: Output) -> None:
        async with opened_database(data_dir) as database, database.connection() as connection:
            click.echo((await proving.prove(connection, event, old_note=old_note)).text(), nl=False)

    run(work, as_json=False)


@click.command("check-proof")
@click.argument("proof", type=EXISTING)
@click.option("--key", "keys", multiple=True, help=KEY_HELP)
@click.option("--checkpoint", type=EXISTING, help="An older checkpoint that the log must contain.")
@data_dir_option
@json_option
def check_proof_command(
    proof: Path, keys: tuple[str, ...], checkpoint: Path | None, data_dir: Path, as_json: bool
) -> None:
    """Check a PROOF file without the database."""
    text, old_note = _text(proof) or "", _text(checkpoint)

    async def work(output: Output) -> None:
        trusted = trusted_keys(keys, data_dir, os.environ.get(VARIABLE, ""))
        try:
            checked = check(Proof.parse(text), trusted, old_note=old_note)
        except (InvalidProof, NoteRejected) as error:
            raise CheckFailed(f"not proven: {error}") from None
        output.result(checked, *describe(checked))

    run(work, as_json=as_json)


def _text(path: Path | None) -> str | None:
    # What is not UTF-8 is no note and no proof; the replaced characters will say so.
    return None if path is None else path.read_text(encoding="utf-8", errors="replace")


@click.command("replay")
@click.option("--account", "account_id", type=click.UUID, help="One account; else all together.")
@click.option("--at", "times", multiple=True, help="A time (RFC 3339); twice to compare.")
@click.option("--seq", "seqs", multiple=True, type=click.IntRange(0), help="A place in the log; twice to compare.")
@data_dir_option
@json_option
def replay_command(
    account_id: UUID | None, times: tuple[str, ...], seqs: tuple[int, ...], data_dir: Path, as_json: bool
) -> None:
    """Replay an account, or all, from the events alone: now, at a time or a seq, or at two of them side by side."""
    points = [*(Point(at=_time(text)) for text in times), *(Point(seq=seq) for seq in seqs)] or [Point()]
    if len(points) > 2:
        raise click.UsageError("at most two points can be compared")

    async def work(output: Output) -> None:
        with progress_bar("replaying", output) as progress:
            async with reached_database(DataDirectory(data_dir)) as endpoints:
                states = await replay(endpoints.database_url, points, account_id=account_id, progress=progress)
        output.result({"states": [_state(state) for state in states]}, *_table(states))

    run(work, as_json=as_json)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a time such as 2026-11-20T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _state(state: State) -> dict[str, Any]:
    totals = {name: _shown(name, value) for name, value in msgspec.structs.asdict(state.totals).items()}
    account = state.account
    lots = [] if account is None else [lot for lot in account.lots.values() if lot.remaining or lot.frozen]
    return {
        "at": state.point.at,
        "seq": state.point.seq,
        "events": state.events,
        **totals,
        "version": None if account is None else account.version,
        "lots": [
            {"id": lot.id, "number": lot.number, "source": lot.source, "remaining": format_credits(lot.remaining),
             "frozen": format_credits(lot.frozen)}
            for lot in lots
        ],
    }  # fmt: skip


def _shown(name: str, value: int) -> int | str:
    return value if name == "accounts" else format_credits(value)


def _table(states: list[State]) -> list[str]:
    columns = [msgspec.structs.asdict(state.totals) | {"events": state.events} for state in states]
    heads = [_head(state.point) for state in states]
    lines = ["".join(f"{text:>28}" for text in ["", *heads, *(["change"] if len(states) > 1 else [])])]
    for name in columns[0]:
        values = [column[name] for column in columns]
        if len(values) > 1:
            values.append(values[1] - values[0])
        shown = [str(value) if name in {"accounts", "events"} else format_credits(value) for value in values]
        lines.append("".join(f"{text:>28}" for text in [name, *shown]))
    return lines


def _head(point: Point) -> str:
    if point.seq is not None:
        return f"seq {point.seq}"
    return "now" if point.at is None else f"{point.at:%Y-%m-%d %H:%M:%S %Z}"


@click.command("key")
@click.option("--new", "name", help="Make a new signing key under this name, such as example.com/holdfast.")
@data_dir_option
@json_option
def key_command(name: str | None, data_dir: Path, as_json: bool) -> None:
    """Print the verifier key that auditors need, or make a new signing key."""

    async def work(output: Output) -> None:
        if name is None:
            keys = [str(key) for key in trusted_keys((), data_dir, os.environ.get(VARIABLE, ""))]
            if not keys:
                raise CheckFailed(f"no key: {VARIABLE} is not set and {data_dir} holds none")
            output.result({"verifier_keys": keys}, *keys)
            return
        try:
            key = SigningKey.generate(name)
        except KeyInvalid as error:
            raise click.UsageError(str(error)) from None
        document = {"signing_key": key.text(), "verifier_key": str(key.verifier)}
        output.result(document, f"{VARIABLE}={key.text()}", f"verifier key: {key.verifier}")

    run(work, as_json=as_json)
