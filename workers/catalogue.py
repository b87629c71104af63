"""The models this installation sells and what they cost: in Postgres, changed by administrators, never in the past.

What a model is and what it costs are two series of versions. A version never changes, and a generation keeps those it
was admitted under. Processes keep the catalogue in memory for `FRESH_S`, so a change reaches all of them within that
time.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.errors import InvalidModel, ModelNotFound
from workers.generations import sql
from workers.models import Model, ModelDefinition, ModelVersion, PriceVersion
from workers.pricing import Prices
from workers.providers import ProviderRegistry

FRESH_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Catalogue:
    """The models, as this process last read them."""

    def __init__(self, database: Database, providers: ProviderRegistry) -> None:
        self._database = database
        self._providers = providers
        self._rows: list[tuple[Any, ...]] = []
        self._models: Mapping[str, Model] = {}
        self._definitions: dict[tuple[str, int], ModelDefinition] = {}
        self._prices: dict[tuple[str, int], tuple[Prices, Prices]] = {}
        self._read_at_s = float("-inf")
        self._changes = 0
        self._reading = asyncio.Lock()

    async def keep_fresh(self) -> None:
        """Read the catalogue again in time for as long as this runs, so that nobody who asks has to wait for it."""
        while True:
            try:
                async with self._reading:
                    await self._read()
            except Exception as error:  # noqa: BLE001 - whoever asks reads it then, and hears of it
                _log.warning("catalogue_not_read", error=repr(error))
            await asyncio.sleep(FRESH_S / 2)

    async def models(self) -> tuple[Model, ...]:
        """Return the models that are offered: enabled, and their provider is configured here."""
        return tuple(model for model in (await self._fresh()).values() if self._is_offered(model))

    async def all_models(self) -> tuple[Model, ...]:
        """Return every model that has a price, for administrators."""
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

    async def chain(self, model: Model, mode: str) -> tuple[Model, ...]:
        """Return the model and those that take over when it fails: offered here, and able to do the same."""
        models = await self._fresh()
        fallbacks = (models.get(name) for name in model.definition.fallbacks)
        return model, *(
            fallback
            for fallback in fallbacks
            if fallback is not None and self._is_offered(fallback) and mode in fallback.definition.modes
        )

    async def definition(self, name: str, version: int) -> ModelDefinition:
        """Return one version of what a model is, which can be kept because it never changes."""
        known = self._definitions.get((name, version))
        if known is None:
            row = await self._read_version(sql.READ_MODEL_VERSION, name, version)
            known = self._definitions[name, version] = msgspec.convert(row[0], ModelDefinition)
        return known

    async def price(self, name: str, version: int) -> tuple[Prices, Prices]:
        """Return the prices and our costs of one version, which can be kept because it never changes."""
        known = self._prices.get((name, version))
        if known is None:
            row = await self._read_version(sql.READ_PRICE, name, version)
            known = self._prices[name, version] = (
                msgspec.convert(row[0], Prices),
                msgspec.convert(row[1], Prices),
            )
        return known

    async def upsert_model(self, definition: ModelDefinition, *, changed_by: str) -> int:
        """Add a model, or the next version of what it is; return the version. It is offered once it has a price.

        Raises:
            InvalidModel: the definition makes no sense, or names a provider or a fallback that there is not.
        """
        definition.check()
        self._check_provider(definition)
        async with self._database.connection() as connection:
            await connection.execute(sql.INSERT_MODEL_ONCE, {"model": definition.name})
            await connection.execute(sql.LOCK_MODEL, {"model": definition.name})
            known = await (
                await connection.execute(sql.READ_MODEL_NAMES, {"names": list(definition.fallbacks)})
            ).fetchall()
            missing = set(definition.fallbacks) - {row[0] for row in known}
            if missing:
                raise InvalidModel("fallbacks", f"there is no model {min(missing)!r}")
            version = await insert_model_version(connection, definition, created_by=changed_by)
        self.forget()
        return version

    async def set_price(
        self, name: str, *, prices: Prices, costs: Prices, changed_by: str, valid_from_us: int | None = None
    ) -> PriceVersion:
        """Add the next price version of a model, valid from now on or from a later time.

        Raises:
            InvalidPrice: a price is negative or absurd, or is by compute time.
            ModelNotFound: there is no such model.
        """
        prices.check_sellable()
        costs.check()
        async with self._database.connection() as connection:
            if await (await connection.execute(sql.LOCK_MODEL, {"model": name})).fetchone() is None:
                raise ModelNotFound(name)
            valid_from = None if valid_from_us is None else from_us(valid_from_us)
            version = await insert_price(
                connection, name, prices=prices, costs=costs, valid_from=valid_from, created_by=changed_by
            )
        self.forget()
        return version

    async def price_history(self, name: str) -> tuple[PriceVersion, ...]:
        """Return all price versions of a model, newest first.

        Raises:
            ModelNotFound: there is no such model.
        """
        rows = await self._read_history(sql.READ_PRICE_HISTORY, name)
        return tuple(
            PriceVersion(
                version=version,
                valid_from_us=to_us(valid_from),
                created_at_us=to_us(created_at),
                created_by=created_by,
                prices=msgspec.convert(prices, Prices),
                costs=msgspec.convert(costs, Prices),
            )
            for version, valid_from, created_at, created_by, prices, costs in rows
        )

    async def model_history(self, name: str) -> tuple[ModelVersion, ...]:
        """Return all versions of what a model is, newest first.

        Raises:
            ModelNotFound: there is no such model.
        """
        rows = await self._read_history(sql.READ_MODEL_HISTORY, name)
        return tuple(
            ModelVersion(
                version=version,
                created_at_us=to_us(created_at),
                created_by=created_by,
                definition=msgspec.convert(definition, ModelDefinition),
            )
            for version, created_at, created_by, definition in rows
        )

    def forget(self) -> None:
        """Read the catalogue again the next time it is asked for: what is being read now may not have the change."""
        self._read_at_s = float("-inf")
        self._changes += 1

    def _is_offered(self, model: Model) -> bool:
        return model.definition.enabled and self._providers.status(model.definition.provider).configured

    def _check_provider(self, definition: ModelDefinition) -> None:
        names = [status.name for status in self._providers.statuses()]
        if definition.provider not in names:
            raise InvalidModel("provider", f"must be one of {', '.join(names)}")

    async def _read_version(self, statement: Any, name: str, version: int) -> tuple[Any, ...]:
        async with self._database.connection() as connection:
            row = await (await connection.execute(statement, {"model": name, "version": version})).fetchone()
        assert row is not None, "versions are never deleted"
        return row

    async def _read_history(self, statement: Any, name: str) -> list[tuple[Any, ...]]:
        async with self._database.connection() as connection:
            if await (await connection.execute(sql.READ_MODEL_NAMES, {"names": [name]})).fetchone() is None:
                raise ModelNotFound(name)
            return await (await connection.execute(statement, {"model": name})).fetchall()

    async def _fresh(self) -> Mapping[str, Model]:
        if time.monotonic() - self._read_at_s < FRESH_S:
            return self._models
        async with self._reading:
            if time.monotonic() - self._read_at_s >= FRESH_S:
                await self._read()
        return self._models

    async def _read(self) -> None:
        began_s, changes = time.monotonic(), self._changes
        async with self._database.autocommit() as connection:
            rows = await (await connection.execute(sql.READ_MODELS)).fetchall()
        if rows != self._rows:
            self._rows, self._models = rows, {row[0]: _model_of_row(row) for row in rows}
        if changes == self._changes:
            self._read_at_s = began_s


async def insert_model_version(
    connection: AsyncConnection[Any], definition: ModelDefinition, *, created_by: str
) -> int:
    """Write the next version of what a model is, and who made it so; the model must be locked."""
    parameters = {
        "model": definition.name,
        "created_by": created_by,
        "definition": msgspec.json.encode(definition).decode(),
    }
    row = await (await connection.execute(sql.INSERT_MODEL_VERSION, parameters)).fetchone()
    assert row is not None, "an aggregate without groups has a row"
    return row[0]


async def insert_price(
    connection: AsyncConnection[Any],
    name: str,
    *,
    prices: Prices,
    costs: Prices,
    valid_from: datetime | None,
    created_by: str,
) -> PriceVersion:
    """Write the next version of a price; the model must be locked."""
    parameters = {
        "model": name,
        "prices": msgspec.json.encode(prices).decode(),
        "costs": msgspec.json.encode(costs).decode(),
        "valid_from": valid_from,
        "created_by": created_by,
    }
    row = await (await connection.execute(sql.INSERT_PRICE, parameters)).fetchone()
    assert row is not None, "an aggregate without groups has a row"
    version, began, created_at = row
    return PriceVersion(
        version=version,
        prices=prices,
        costs=costs,
        valid_from_us=to_us(began),
        created_at_us=to_us(created_at),
        created_by=created_by,
    )


def _model_of_row(row: tuple[Any, ...]) -> Model:
    _, version, definition, price_version, prices, costs = row
    return Model(
        definition=msgspec.convert(definition, ModelDefinition),
        version=version,
        price_version=price_version,
        prices=msgspec.convert(prices, Prices),
        costs=msgspec.convert(costs, Prices),
    )
