"""The catalogue: immutable prices, audited changes, and only what this installation can run."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from msgspec import structs

from tests.generations import FREE, generation_context, same_price
from workers import catalogue as catalogue_module
from workers.catalogue import Catalogue
from workers.context import GenerationContext
from workers.errors import InvalidModel, InvalidPrice, ModelNotFound
from workers.models import Model, ModelDefinition
from workers.pricing import Prices
from workers.seed import seed_catalogue

OFFLINE = ("text", "image", "image-edit", "video", "speech-to-video", "music", "speech")

MODEL = ModelDefinition(
    name="mine",
    provider="echo",
    upstream_name="echo",
    context_tokens=100,
    default_output_tokens=10,
    max_output_tokens=20,
)


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


async def test_only_models_of_configured_providers_are_offered(context: GenerationContext) -> None:
    offered = {model.definition.name for model in await context.catalogue.models()}
    known = {model.definition.name for model in await context.catalogue.all_models()}

    assert offered == {"echo", *(f"offline-{what}" for what in OFFLINE)}
    assert known > {"echo", "claude-sonnet-5-5", "gpt-5.5"}


async def test_every_seeded_model_costs_something(context: GenerationContext) -> None:
    for model in await context.catalogue.all_models():
        assert model.prices != Prices()
        for cached in (model.prices.cache_read_per_mtok, model.prices.cache_write_per_mtok):
            assert (cached > 0) == (model.prices.input_per_mtok > 0)


async def test_seeding_again_changes_nothing(context: GenerationContext) -> None:
    await context.catalogue.set_price("echo", prices=same_price(7), costs=FREE, changed_by="admin")

    assert await seed_catalogue(context.database) == []
    assert (await context.catalogue.offered("echo")).price_version == 2


async def test_a_new_price_is_a_new_version_and_says_who_set_it(context: GenerationContext) -> None:
    version = await context.catalogue.set_price("echo", prices=same_price(7), costs=FREE, changed_by="admin:1")

    newest, first = await context.catalogue.price_history("echo")
    assert (version.version, newest.version, first.version) == (2, 2, 1)
    assert (newest.created_by, newest.prices) == ("admin:1", same_price(7))
    assert (await context.catalogue.offered("echo")).prices == same_price(7)


async def test_a_price_from_tomorrow_is_not_valid_today(context: GenerationContext) -> None:
    before = await context.catalogue.offered("echo")
    tomorrow_us = 4_000_000_000_000_000

    await context.catalogue.set_price(
        "echo", prices=same_price(7), costs=FREE, changed_by="admin", valid_from_us=tomorrow_us
    )

    assert await context.catalogue.offered("echo") == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE model_prices SET prices = '{}'",
        "DELETE FROM model_prices",
        "UPDATE model_versions SET definition = '{}'",
        "DELETE FROM model_versions",
    ],
)
async def test_a_version_never_changes(context: GenerationContext, statement: str) -> None:
    with psycopg.connect(context.database.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a test's own text


async def test_a_negative_price_is_refused_by_code_and_by_database(context: GenerationContext) -> None:
    negative = structs.replace(same_price(1), output_per_mtok=-1)

    with pytest.raises(InvalidPrice):
        await context.catalogue.set_price("echo", prices=negative, costs=FREE, changed_by="admin")
    with psycopg.connect(context.database.url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO model_prices (model, version, prices, costs, valid_from, created_by)"
            """VALUES ('echo', 99, '{"per_job": -1}', '{}', now(), 'me')"""
        )


async def test_a_model_is_offered_once_it_has_a_price(context: GenerationContext) -> None:
    await context.catalogue.upsert_model(MODEL, changed_by="admin")
    with pytest.raises(ModelNotFound):
        await context.catalogue.offered("mine")

    await context.catalogue.set_price("mine", prices=same_price(1), costs=FREE, changed_by="admin")

    assert (await context.catalogue.offered("mine")).definition == MODEL


async def test_who_changed_a_model_is_recorded(context: GenerationContext) -> None:
    await context.catalogue.upsert_model(MODEL, changed_by="admin:1")
    await context.catalogue.upsert_model(structs.replace(MODEL, enabled=False), changed_by="admin:2")

    with psycopg.connect(context.database.url) as connection:
        changes = connection.execute(
            "SELECT version, created_by, definition ->> 'enabled' FROM model_versions"
            " WHERE model = 'mine' ORDER BY version"
        ).fetchall()
    assert changes == [(1, "admin:1", "true"), (2, "admin:2", "false")]
    newest, first = await context.catalogue.model_history("mine")
    assert (newest.definition.enabled, first.definition) == (False, MODEL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "a\0b"),
        ("provider", "nobody"),
        ("upstream_name", ""),
        ("modes", ("smell",)),
        ("modes", ()),
        ("modes", ("chat", "chat")),
        ("fallbacks", ("nobody",)),
        ("fallbacks", ("mine",)),
        ("tiers", ()),
        ("context_tokens", 0),
        ("max_output_tokens", 0),
        ("default_output_tokens", 21),
    ],
)
async def test_a_model_that_makes_no_sense_is_refused(context: GenerationContext, field: str, value: Any) -> None:
    broken = ModelDefinition(**{**structs.asdict(MODEL), field: value})

    with pytest.raises(InvalidModel):
        await context.catalogue.upsert_model(broken, changed_by="admin")


async def test_another_process_sees_a_change_within_a_moment(context: GenerationContext) -> None:
    other = Catalogue(context.database, context.providers)
    await other.offered("echo")
    await context.catalogue.set_price("echo", prices=same_price(7), costs=FREE, changed_by="admin")
    other.forget()

    assert (await other.offered("echo")).prices == same_price(7)


async def test_a_change_made_while_the_catalogue_is_being_read_is_read_the_next_time(
    context: GenerationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Catalogue(context.database, context.providers)
    read_row = catalogue_module._model_of_row  # pyright: ignore[reportPrivateUsage]

    def changed_meanwhile(row: tuple[Any, ...]) -> Model:
        mine.forget()
        return read_row(row)

    with monkeypatch.context() as patched:
        patched.setattr(catalogue_module, "_model_of_row", changed_meanwhile)
        before = await mine.offered("echo")
    await context.catalogue.set_price("echo", prices=same_price(7), costs=FREE, changed_by="test")

    assert (await mine.offered("echo")).price_version == before.price_version + 1
