"""The models a new installation starts with, from `catalogue.toml`."""

import tomllib
from importlib.resources import files
from typing import Any

import msgspec

from ledger.database import Database
from workers.catalogue import insert_model_version, insert_price
from workers.generations import sql
from workers.models import ModelDefinition
from workers.pricing import Prices

AUTHOR = "catalogue.toml"


class SeedModel(msgspec.Struct, frozen=True):
    """One model of the file, with its first price."""

    definition: ModelDefinition
    prices: Prices
    costs: Prices


class _Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: dict[str, dict[str, Any]]


async def seed_catalogue(database: Database) -> list[str]:
    """Add the models that the database does not have, with their first price; return their names.

    What is there already is left alone: an administrator may have changed it. Any number of processes may call this.
    """
    added: list[str] = []
    async with database.connection() as connection:
        for model in read_seed():
            name = model.definition.name
            if await (await connection.execute(sql.INSERT_MODEL_ONCE, {"model": name})).fetchone() is None:
                continue
            await insert_model_version(connection, model.definition, created_by=AUTHOR)
            await insert_price(
                connection, name, prices=model.prices, costs=model.costs, valid_from=None, created_by=AUTHOR
            )
            added.append(name)
    return added


def read_seed() -> list[SeedModel]:
    """Read and check the file.

    Raises:
        msgspec.ValidationError, InvalidModel, InvalidPrice: it makes no sense; the installation must not start with it.
    """
    text = (files("workers") / "catalogue.toml").read_text(encoding="utf-8")
    found: list[SeedModel] = []
    for name, fields in msgspec.convert(tomllib.loads(text), _Seed).model.items():
        prices, costs = (msgspec.convert(fields.pop(key), Prices) for key in ("prices", "costs"))
        model = SeedModel(msgspec.convert({"name": name, **fields}, ModelDefinition), prices, costs)
        model.definition.check()
        model.prices.check_sellable()
        model.costs.check()
        found.append(model)
    return found
