"""What a new installation has for sale, from `catalogue.toml`."""

import tomllib
from importlib.resources import files
from typing import Final, cast

import msgspec

from ledger.database import Database
from workers.payments.catalogue.definitions import Region
from workers.payments.catalogue.given import PackRequest, PlanRequest, ProductName, RegionRequest
from workers.payments.catalogue.versions import PACK, PLAN, REGION, put_version, sql

AUTHOR: Final = "catalogue.toml"


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    region: dict[ProductName, RegionRequest]
    pack: dict[ProductName, PackRequest]
    plan: dict[ProductName, PlanRequest]


async def seed_shop(database: Database) -> list[str]:
    """Put the regions, packs and plans of the file up for sale where nothing ever was; return the names of those.

    What administrators made is left alone, and nothing that they gave up comes back. Any number of processes may call
    this.
    """
    seed = read_seed()
    async with database.connection() as connection:
        await connection.execute(sql.LOCK_SHOP)
        row = await (await connection.execute(sql.FIND_ANY_VERSION)).fetchone()
        if cast("tuple[bool]", row)[0]:
            return []
        for name, region in seed.region.items():
            await put_version(connection, REGION, name, region, changed_by=AUTHOR)
        for name, pack in seed.pack.items():
            await put_version(connection, PACK, name, pack, changed_by=AUTHOR)
        for name, plan in seed.plan.items():
            await put_version(connection, PLAN, name, plan, changed_by=AUTHOR)
    return [*seed.pack, *seed.plan]


def read_seed() -> Seed:
    """Read and check the file.

    Raises:
        msgspec.ValidationError, InvalidRegion, InvalidPack, InvalidPlan: it makes no sense; the installation must not
            start with it.
    """
    text = (files("workers.payments.catalogue") / "catalogue.toml").read_text(encoding="utf-8")
    return checked_seed(text)


def checked_seed(text: str) -> Seed:
    """Read and check the text of a file.

    Raises:
        msgspec.ValidationError, InvalidRegion, InvalidPack, InvalidPlan: it makes no sense.
    """
    seed = msgspec.convert(tomllib.loads(text), Seed)
    regions: dict[str, Region] = {}
    for name, region in seed.region.items():
        regions[name] = region.definition(name, regions)
    for name, pack in seed.pack.items():
        pack.definition(name, regions)
    for name, plan in seed.plan.items():
        plan.definition(name, regions)
    return seed
