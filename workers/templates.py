"""The templates of this installation: versions in Postgres that never change, each with who made it and when."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.database import Database
from ledger.rows import to_us
from workers.errors import InvalidTemplate, TemplateNotFound
from workers.modes import Template, TemplateDefinition, requested_template
from workers.modes.templating import TemplateName

sql: Final = statements.load("workers")

AUTHOR: Final = "templates.toml"


class _Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    template: dict[str, TemplateDefinition]


async def template_for(database: Database, mode: str, given: Mapping[str, object]) -> Template | None:
    """Return the template that an input names, for `read_input`; `None` where it names none.

    Raises:
        InvalidInput: what it names cannot be a template.
        TemplateNotFound: there is none of this name and version, or it is not enabled.
    """
    named = requested_template(mode, given)
    if named is None:
        return None
    found = await get_template(database, *named)
    if not found.definition.enabled:
        raise TemplateNotFound(found.reference)
    return found


async def get_template(database: Database, name: str, version: int | None = None) -> Template:
    """Return one version of a template, the newest where none is named.

    Raises:
        TemplateNotFound: there is none.
    """
    wanted = name if version is None else f"{name}@{version}"
    if not _is_name(name):
        raise TemplateNotFound(wanted)
    async with database.connection() as connection:
        found = await _read(connection, name, version)
    if found is None:
        raise TemplateNotFound(wanted)
    return found


async def list_templates(database: Database, *, after: str = "", limit: int) -> list[Template]:
    """Return the newest version of every template, enabled or not, in the order of their names."""
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.LIST_TEMPLATES, {"after": after, "limit": limit})).fetchall()
    return [_template_of_row(row) for row in rows]


async def list_template_versions(database: Database, name: str, *, limit: int) -> list[Template]:
    """Return the versions of a template, newest first.

    Raises:
        TemplateNotFound: there is no such template.
    """
    await get_template(database, name)
    async with database.connection() as connection:
        cursor = await connection.execute(sql.LIST_TEMPLATE_VERSIONS, {"name": name, "limit": limit})
        rows = await cursor.fetchall()
    return [_template_of_row(row) for row in rows]


async def define_template(
    database: Database, name: str, definition: TemplateDefinition, *, changed_by: str
) -> Template:
    """Add a template, or its next version; one that is as the newest already is changes nothing.

    Raises:
        InvalidTemplate: it makes no sense.
    """
    if not _is_name(name):
        raise InvalidTemplate(
            "name", "must have 1 to 100 lower-case letters, digits, - and _, with no sign at its ends"
        )
    definition.check()
    async with database.connection() as connection:
        await connection.execute(sql.INSERT_TEMPLATE_ONCE, {"name": name})
        await connection.execute(sql.LOCK_TEMPLATE, {"name": name})
        newest = await _read(connection, name, None)
        if newest is not None and newest.definition == definition:
            return newest
        return await _insert(connection, name, definition, changed_by)


async def seed_templates(database: Database) -> list[str]:
    """Add the templates of `templates.toml` that the database does not have; return their names.

    What is there already is left alone: an administrator may have changed it. Any number of processes may call this.
    """
    added: list[str] = []
    async with database.connection() as connection:
        for name, definition in read_seed().items():
            if await (await connection.execute(sql.INSERT_TEMPLATE_ONCE, {"name": name})).fetchone() is not None:
                await _insert(connection, name, definition, AUTHOR)
                added.append(name)
    return added


def read_seed() -> dict[str, TemplateDefinition]:
    """Read and check the file.

    Raises:
        msgspec.ValidationError, InvalidTemplate: it makes no sense; the installation must not start with it.
    """
    text = (files("workers.modes") / "templates.toml").read_text(encoding="utf-8")
    found = msgspec.convert(tomllib.loads(text), _Seed).template
    for name, definition in found.items():
        if not _is_name(name):
            raise InvalidTemplate("name", f"{name!r} cannot be one")
        definition.check()
    return found


async def _read(connection: AsyncConnection[Any], name: str, version: int | None) -> Template | None:
    row = await (await connection.execute(sql.READ_TEMPLATE, {"name": name, "version": version})).fetchone()
    return None if row is None else _template_of_row(row)


async def _insert(
    connection: AsyncConnection[Any], name: str, definition: TemplateDefinition, created_by: str
) -> Template:
    encoded = msgspec.json.encode(definition).decode()
    parameters = {"name": name, "definition": encoded, "created_by": created_by}
    row = await (await connection.execute(sql.INSERT_TEMPLATE_VERSION, parameters)).fetchone()
    assert row is not None, "an aggregate without groups has a row"
    return Template(
        name=name, version=row[0], definition=definition, created_at_us=to_us(row[1]), created_by=created_by
    )


def _template_of_row(row: Sequence[Any]) -> Template:
    name, version, definition, created_at, created_by = row
    return Template(
        name=name,
        version=version,
        definition=msgspec.json.decode(definition, type=TemplateDefinition),
        created_at_us=to_us(created_at),
        created_by=created_by,
    )


def _is_name(name: str) -> bool:
    try:
        msgspec.convert(name, TemplateName)
    except msgspec.ValidationError:
        return False
    return True
