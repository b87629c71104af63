"""`holdfast audit`: the group that commands for auditors and finance join, each from a file of its own."""

from __future__ import annotations

import click


@click.group("audit")
def audit() -> None:
    """Replay, prove, export and close the books."""
