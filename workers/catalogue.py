"""The models this installation sells and what they cost: in Postgres, changed by administrators, never in the past.

A price version never changes and a generation keeps the version it was admitted at. Processes keep the catalogue in
memory for `FRESH_S`, so a change reaches every one of them within that time.
"""

import asyncio
import time
import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.errors import InvalidModel, ModelNotFound
from workers.generations import sql
from workers.pricing import Prices
from workers.providers import ProviderRegistry
from workers.providers.registry import PROVIDER_NAMES

FRESH_S: Final = 1.0
MAX_NAME_CHARACTERS: Final = 100
MAX_TOKENS: Final = 100_000_000
MODES: Final = ("text",)


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is, apart from its price."""

    name: str
    provider: str
    upstream_name: str
    """What its provider calls it."""
    mode: str = "text"
    context_tokens: int
    default_output_tokens: int
    """How much it may write where the caller does not say."""
    max_output_tokens: int
    """How much it may write at all; a caller who asks for more gets this."""
    enabled: bool = True

    def check(self) -> None:
        """Refuse a definition that makes no sense.

        Raises:
            InvalidModel: names the field.
        """
        if not 1 <= len(self.name) <= MAX_NAME_CHARACTERS or not self.name.isprintable():
            raise InvalidModel("name", f"must have 1 to {MAX_NAME_CHARACTERS} printable characters")
        if self.provider not in PROVIDER_NAMES:
            raise InvalidModel("provider", f"must be one of {', '.join(PROVIDER_NAMES)}")
        if not self.upstream_name or not self.upstream_name.isprintable():
            raise InvalidModel("upstream_name", "must not be empty")
        if self.mode not in MODES:
            raise InvalidModel("mode", f"must be one of {', '.join(MODES)}")
        if not 1 <= self.context_tokens <= MAX_TOKENS:
            raise InvalidModel("context_tokens", f"must be from 1 to {MAX_TOKENS}")
        if not 1 <= self.max_output_tokens <= MAX_TOKENS:
            raise InvalidModel("max_output_tokens", f"must be from 1 to {MAX_TOKENS}")
        if not 1 <= self.default_output_tokens <= self.max_output_tokens:
            raise InvalidModel("default_output_tokens", "must be from 1 to max_output_tokens")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model with the price that is valid now."""

    definition: ModelDefinition
    price_version: int
    prices: Prices
    """Microcredits per million tokens."""
    costs: Prices
    """What its provider takes from us, in millionths of a US dollar per million tokens."""


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price, and who set it."""

    version: int
    prices: Prices
    costs: Prices
    valid_from_us: int
    created_at_us: int
    created_by: str


class _SeedPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prices: Prices
    costs: Prices


class _Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: dict[str, dict[str, Any]]


class Catalogue:
    """The models, as this process last read them."""

    def __init__(self, database: Database, providers: ProviderRegistry) -> None:
        self._database = database
        self._providers = providers
        self._models: Mapping[str, Model] = {}
        self._costs: dict[tuple[str, int], tuple[Prices, Prices]] = {}
        self._read_at_s = float("-inf")
        self._reading = asyncio.Lock()

    async def models(self) -> tuple[Model, ...]:
        """Return the models a caller may use: enabled, and their provider is configured here."""
        return tuple(model for model in (await self._fresh()).values() if self._is_offered(model))

    async def all_models(self) -> tuple[Model, ...]:
        """Return every model, for administrators."""
        return tuple((await self._fresh()).values())

    async def offered(self, name: str) -> Model:
        """Return the model a caller asks for.

        Raises:
            ModelNotFound: there is none of this name, it is disabled, or its provider is not configured here.
        """
        model = (await self._fresh()).get(name)
        if model is None or not self._is_offered(model):
            raise ModelNotFound(name)
        return model

    async def known(self, name: str) -> Model:
        """Return a model whether or not it is offered: what was admitted before it was disabled still runs.

        Raises:
            ModelNotFound: there is none of this name.
        """
        model = (await self._fresh()).get(name)
        if model is None:
            raise ModelNotFound(name)
        return model

    async def price(self, name: str, version: int) -> tuple[Prices, Prices]:
        """Return the prices and our costs of one version, which can be kept because it never changes."""
        known = self._costs.get((name, version))
        if known is None:
            async with self._database.connection() as connection:
                cursor = await connection.execute(sql.READ_PRICE, {"model": name, "version": version})
                row = await cursor.fetchone()
            assert row is not None, "price versions are never deleted"
            known = self._costs[name, version] = (_prices_of(row[:4]), _prices_of(row[4:]))
        return known

    async def upsert_model(self, definition: ModelDefinition, *, changed_by: str) -> None:
        """Add a model, or change what it is. It is offered once it has a price. Who did so is recorded.

        Raises:
            InvalidModel: the definition makes no sense.
        """
        definition.check()
        async with self._database.connection() as connection:
            await connection.execute(sql.UPSERT_MODEL, msgspec.structs.asdict(definition))
            await _record_change(connection, definition, changed_by)
        self.forget()

    async def set_price(
        self, name: str, *, prices: Prices, costs: Prices, changed_by: str, valid_from_us: int | None = None
    ) -> PriceVersion:
        """Add the next price version of a model, valid from now on or from a later time.

        Raises:
            InvalidPrice: a price is negative or absurd.
            ModelNotFound: there is no such model.
        """
        prices.check()
        costs.check()
        async with self._database.connection() as connection:
            if await (await connection.execute(sql.LOCK_MODEL, {"model": name})).fetchone() is None:
                raise ModelNotFound(name)
            valid_from = None if valid_from_us is None else from_us(valid_from_us)
            version, valid_from = await _insert_price(
                connection, name, prices=prices, costs=costs, valid_from=valid_from, created_by=changed_by
            )
        self.forget()
        return PriceVersion(
            version=version,
            prices=prices,
            costs=costs,
            valid_from_us=to_us(valid_from),
            created_at_us=time.time_ns() // 1_000,
            created_by=changed_by,
        )

    async def price_history(self, name: str) -> tuple[PriceVersion, ...]:
        """Return all price versions of a model, newest first.

        Raises:
            ModelNotFound: there is no such model.
        """
        await self.known(name)
        async with self._database.connection() as connection:
            rows = await (await connection.execute(sql.READ_PRICE_HISTORY, {"model": name})).fetchall()
        return tuple(
            PriceVersion(
                version=row[0],
                valid_from_us=to_us(row[1]),
                created_at_us=to_us(row[2]),
                created_by=row[3],
                prices=_prices_of(row[4:8]),
                costs=_prices_of(row[8:12]),
            )
            for row in rows
        )

    def forget(self) -> None:
        """Read the catalogue again the next time it is asked for."""
        self._read_at_s = float("-inf")

    def _is_offered(self, model: Model) -> bool:
        return model.definition.enabled and self._providers.status(model.definition.provider).configured

    async def _fresh(self) -> Mapping[str, Model]:
        if time.monotonic() - self._read_at_s < FRESH_S:
            return self._models
        async with self._reading:
            began_s = time.monotonic()
            if began_s - self._read_at_s >= FRESH_S:
                async with self._database.connection() as connection:
                    rows = await (await connection.execute(sql.READ_MODELS)).fetchall()
                self._models = {row[0]: _model_of_row(row) for row in rows}
                self._read_at_s = began_s
        return self._models


async def seed_catalogue(database: Database) -> list[str]:
    """Add the models of `catalogue.toml` that the database does not have, with their first price; return their names.

    What is there already is left alone: an administrator may have changed it. Any number of processes may call this.
    """
    added: list[str] = []
    async with database.connection() as connection:
        for definition, price in _read_seed():
            parameters = msgspec.structs.asdict(definition)
            if await (await connection.execute(sql.INSERT_MODEL_ONCE, parameters)).fetchone() is None:
                continue
            await _record_change(connection, definition, "catalogue.toml")
            await _insert_price(
                connection,
                definition.name,
                prices=price.prices,
                costs=price.costs,
                valid_from=None,
                created_by="catalogue.toml",
            )
            added.append(definition.name)
    return added


def _read_seed() -> list[tuple[ModelDefinition, _SeedPrice]]:
    text = (files("workers") / "catalogue.toml").read_text(encoding="utf-8")
    seed = msgspec.convert(tomllib.loads(text), _Seed)
    found: list[tuple[ModelDefinition, _SeedPrice]] = []
    for name, fields in seed.model.items():
        price = msgspec.convert({key: fields.pop(key) for key in ("prices", "costs")}, _SeedPrice)
        definition = msgspec.convert({"name": name, **fields}, ModelDefinition)
        definition.check()
        price.prices.check()
        price.costs.check()
        found.append((definition, price))
    return found


async def _record_change(connection: AsyncConnection[Any], definition: ModelDefinition, changed_by: str) -> None:
    change = {
        "model": definition.name,
        "changed_by": changed_by,
        "definition": msgspec.json.encode(definition).decode(),
    }
    await connection.execute(sql.RECORD_MODEL_CHANGE, change)


async def _insert_price(
    connection: AsyncConnection[Any],
    name: str,
    *,
    prices: Prices,
    costs: Prices,
    valid_from: datetime | None,
    created_by: str,
) -> tuple[int, datetime]:
    parameters = {
        "model": name,
        "input_price": prices.input_per_mtok,
        "output_price": prices.output_per_mtok,
        "cache_read_price": prices.cache_read_per_mtok,
        "cache_write_price": prices.cache_write_per_mtok,
        "input_cost": costs.input_per_mtok,
        "output_cost": costs.output_per_mtok,
        "cache_read_cost": costs.cache_read_per_mtok,
        "cache_write_cost": costs.cache_write_per_mtok,
        "valid_from": valid_from,
        "created_by": created_by,
    }
    row = await (await connection.execute(sql.INSERT_PRICE, parameters)).fetchone()
    assert row is not None, "an aggregate without groups has a row"
    return row[0], row[1]


def _model_of_row(row: tuple[Any, ...]) -> Model:
    name, provider, upstream_name, mode, context, default_output, max_output, enabled, version, *numbers = row
    return Model(
        definition=ModelDefinition(
            name=name,
            provider=provider,
            upstream_name=upstream_name,
            mode=mode,
            context_tokens=context,
            default_output_tokens=default_output,
            max_output_tokens=max_output,
            enabled=enabled,
        ),
        price_version=version,
        prices=_prices_of(numbers[:4]),
        costs=_prices_of(numbers[4:8]),
    )


def _prices_of(numbers: "tuple[Any, ...] | list[Any]") -> Prices:
    return Prices(
        input_per_mtok=numbers[0],
        output_per_mtok=numbers[1],
        cache_read_per_mtok=numbers[2],
        cache_write_per_mtok=numbers[3],
    )
