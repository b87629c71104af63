"""Brings a database up to this code: the `release` process, and what `holdfast up` does before it starts anything."""

from __future__ import annotations

import psycopg

import migrations
from ops.errors import CannotReach


async def migrate(owner_url: str) -> list[str]:
    """Apply what is pending as the role that owns the tables, and return the names of what was applied.

    Raises:
        CannotReach: the database does not let us, or belongs to other code.
    """
    try:
        return await migrations.apply(owner_url)
    except migrations.MigrationChanged as changed:
        raise CannotReach(f"this database belongs to another version of the code: {changed}") from changed
    except psycopg.errors.InsufficientPrivilege as refused:
        said = refused.diag.message_primary or "insufficient privilege"
        raise CannotReach(
            f"cannot migrate ({said}): set DATABASE_OWNER_URL to a role that may create tables"
        ) from refused
    except psycopg.Error as failed:
        said = failed.diag.message_primary or str(failed).partition("\n")[0]
        raise CannotReach(f"cannot migrate the database: {said}") from failed
