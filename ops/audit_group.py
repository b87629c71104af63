"""`holdfast audit`: the group that commands for auditors and finance join, each from a file of its own."""

from __future__ import annotations

from typing import Final

import click

from ops.lazy_commands import LazyCommands

COMMANDS: Final = LazyCommands({
    "verify": "ops.proof_commands:verify_command",
    "checkpoint": "ops.proof_commands:checkpoint_command",
    "prove": "ops.proof_commands:prove_command",
    "check-proof": "ops.proof_commands:check_proof_command",
    "replay": "ops.proof_commands:replay_command",
    "key": "ops.proof_commands:key_command",
    "export": "ops.finance_commands:export_command",
    "rollforward": "ops.finance_commands:rollforward",
    "close": "ops.finance_commands:close",
    "periods": "ops.finance_commands:periods",
    "policy": "ops.finance_commands:policy",
})  # fmt: skip


@click.group("audit", commands=COMMANDS)
def audit() -> None:
    """Replay, prove, export and close the books."""
