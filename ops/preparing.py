"""Brings a database up to this code: the `release` process, and what `holdfast up` does before it starts anything."""

from __future__ import annotations

import psycopg

import migrations
from ledger.database import Database
from ops.endpoints import Endpoints
from ops.errors import CannotReach
from workers.payments.catalogue.seed import seed_shop
from workers.seed import seed_catalogue
from workers.templates import seed_templates


async def prepare_database(endpoints: Endpoints) -> tuple[list[str], list[str]]:
    """Apply the migrations that are pending, and add what is missing of models, templates and the shop.

    Returns files and models.

    A second call finds nothing to do.

    Raises:
        CannotReach: the database does not let us, or belongs to other code.
    """
    try:
        applied = await migrations.apply(endpoints.database_owner_url)
        async with Database(endpoints.database_url, name="holdfast release", max_size=1) as database:
            await seed_templates(database)
            await seed_shop(database)
            return applied, await seed_catalogue(database)
    except migrations.MigrationChanged as changed:
        raise CannotReach(f"this database belongs to another version of the code: {changed}") from changed
    except psycopg.errors.InsufficientPrivilege as refused:
        hint = "set DATABASE_OWNER_URL to a role that may create tables and roles"
        raise CannotReach(f"cannot migrate ({_said(refused)}): {hint}") from refused
    except psycopg.Error as failed:
        raise CannotReach(f"cannot migrate the database: {_said(failed)}") from failed


def _said(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).partition("\n")[0]
