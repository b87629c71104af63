"""Templates in Postgres: versions that never change, and seeds that are sown once."""

import asyncio

import psycopg
import pytest
from msgspec import structs

from ledger.database import Database
from workers.errors import InvalidTemplate, TemplateNotFound
from workers.modes import TemplateDefinition, read_input
from workers.modes.templating import Slot
from workers.templates import (
    define_template,
    get_template,
    list_template_versions,
    list_templates,
    read_seed,
    seed_templates,
    template_for,
)

GREETING = TemplateDefinition(text="Greet {{name}}", slots=(Slot(name="name", required=True),))


async def test_a_change_is_a_new_version_and_says_who_made_it(database: Database) -> None:
    first = await define_template(database, "greeting", GREETING, changed_by="key:1")
    second = await define_template(
        database, "greeting", structs.replace(GREETING, system="Be kind."), changed_by="key:2"
    )

    assert (first.version, second.version) == (1, 2)
    versions = await list_template_versions(database, "greeting", limit=10)
    assert [(each.version, each.created_by) for each in versions] == [(2, "key:2"), (1, "key:1")]
    assert await get_template(database, "greeting") == second
    assert await get_template(database, "greeting", 1) == first


async def test_saying_the_same_again_changes_nothing(database: Database) -> None:
    first = await define_template(database, "greeting", GREETING, changed_by="key:1")

    assert await define_template(database, "greeting", GREETING, changed_by="key:2") == first


async def test_changes_at_the_same_time_are_numbered_one_after_the_other(database: Database) -> None:
    changes = [structs.replace(GREETING, description=f"Change {number}") for number in range(6)]

    made = await asyncio.gather(
        *(define_template(database, "greeting", change, changed_by="key:1") for change in changes)
    )

    assert sorted(template.version for template in made) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE template_versions SET definition = '{}'",
        "DELETE FROM template_versions",
    ],
)
async def test_a_version_never_changes(database: Database, superuser_url: str, statement: str) -> None:
    await define_template(database, "greeting", GREETING, changed_by="key:1")

    with (
        psycopg.connect(superuser_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="a template version never changes"),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize("name", ["", "No", "a b", "-a", "a-", "a\n", "a/b", "a@1", "x" * 101, "a\0"])
async def test_a_name_that_is_none_is_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidTemplate, match="name"):
        await define_template(database, name, GREETING, changed_by="key:1")
    with pytest.raises(TemplateNotFound):
        await get_template(database, name)


async def test_what_makes_no_sense_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(InvalidTemplate):
        await define_template(database, "greeting", structs.replace(GREETING, text="{{who}}"), changed_by="key:1")

    assert await list_templates(database, limit=10) == []


async def test_seeds_are_sown_once_and_changes_are_left_alone(database: Database) -> None:
    sown, again = await asyncio.gather(seed_templates(database), seed_templates(database))
    await define_template(database, "summary", GREETING, changed_by="key:1")

    assert sorted([*sown, *again]) == sorted(read_seed())
    assert await seed_templates(database) == []
    assert (await get_template(database, "summary")).definition == GREETING
    listed = await list_templates(database, limit=10)
    assert [template.name for template in listed] == sorted(read_seed())
    assert [template.name for template in await list_templates(database, after="article", limit=1)] == [
        "product-description"
    ]


async def test_an_input_finds_its_template_and_the_version_it_names(database: Database) -> None:
    await define_template(database, "greeting", GREETING, changed_by="key:1")
    await define_template(database, "greeting", structs.replace(GREETING, text="Hail {{name}}"), changed_by="key:1")

    async def composed(template: str) -> str:
        given = {"template": template, "slots": {"name": "Ada"}}
        return (
            read_input("compose", {}, given, template=await template_for(database, "compose", given))
            .messages[0]
            .content
        )

    assert await composed("greeting") == "Hail Ada"
    assert await composed("greeting@1") == "Greet Ada"
    for missing in ("greeting@3", "farewell"):
        with pytest.raises(TemplateNotFound, match=missing):
            await composed(missing)
    assert await template_for(database, "chat", {"prompt": "x"}) is None


async def test_a_template_that_is_not_enabled_cannot_be_used_but_its_older_versions_can_be_read(
    database: Database,
) -> None:
    await define_template(database, "greeting", structs.replace(GREETING, enabled=False), changed_by="key:1")

    with pytest.raises(TemplateNotFound):
        await template_for(database, "compose", {"template": "greeting"})
    assert not (await get_template(database, "greeting")).definition.enabled
