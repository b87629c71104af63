"""The `holdfast` command."""

from __future__ import annotations

from typing import Final

import click

from ops.lazy_commands import LazyCommands

COMMANDS: Final = LazyCommands({
    "up": "ops.up:up_command",
    "migrate": "ops.migrate_commands:migrate",
    "release": "ops.migrate_commands:release",
    "doctor": "ops.doctor:doctor_command",
    "demo": "ops.demo:demo_command",
    "web": "ops.process_commands:web",
    "worker": "ops.process_commands:worker",
    "clock": "ops.process_commands:clock",
    "accounts": "ops.account_commands:accounts",
    "keys": "ops.key_commands:keys",
    "projections": "ops.projection_commands:projections",
    "audit": "ops.audit_group:audit",
    "reconcile": "ops.reconcile_commands:reconcile",
    "payments": "ops.payment_commands:payments",
})  # fmt: skip


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="holdfast")
def main() -> None:
    """Holdfast: a credit ledger and generation backend.

    Exit status: 0 fine, 1 a check failed or the ledger refused, 2 usage, 3 cannot reach what it needs.
    """
