"""The versions of regions, packs and plans in Postgres: they never change, and each says who made it and when."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.database import Database
from ledger.rows import to_us
from workers.payments.catalogue.definitions import PackDefinition, PlanDefinition, Region
from workers.payments.errors import PackNotFound, PlanNotFound, RegionNotFound

sql: Final = statements.load("workers.payments.catalogue")

Definition = TypeVar("Definition", Region, PackDefinition, PlanDefinition)
Made_co = TypeVar("Made_co", Region, PackDefinition, PlanDefinition, covariant=True)


class Request(Protocol[Made_co]):
    """What somebody says that a region, a pack or a plan is to be."""

    def definition(self, name: str, regions: Mapping[str, Region]) -> Made_co:
        """Return what it is then, with its prices in the currencies of these regions."""
        ...


class Version(msgspec.Struct, Generic[Definition], frozen=True, kw_only=True):
    """One version of a region, a pack or a plan."""

    version: int
    definition: Definition
    created_at_us: int
    created_by: str


class Kind(msgspec.Struct, Generic[Definition], frozen=True, kw_only=True):
    """One of the kinds of things that have versions."""

    name: Literal["region", "pack", "plan"]
    definition: type[Definition]
    not_found: type[RegionNotFound | PackNotFound | PlanNotFound]


REGION: Final = Kind(name="region", definition=Region, not_found=RegionNotFound)
PACK: Final = Kind(name="pack", definition=PackDefinition, not_found=PackNotFound)
PLAN: Final = Kind(name="plan", definition=PlanDefinition, not_found=PlanNotFound)

Connection: TypeAlias = AsyncConnection[Any]


async def define_version(
    database: Database, kind: Kind[Definition], name: str, request: Request[Definition], *, changed_by: str
) -> Version[Definition]:
    """Add a region, a pack or a plan, or its next version; one that is as the newest already is changes nothing.

    Raises:
        InvalidRegion: it makes no sense, or would change what was priced in it.
        InvalidPack, InvalidPlan: it makes no sense.
    """
    async with database.connection() as connection:
        return await put_version(connection, kind, name, request, changed_by=changed_by)


async def newest_versions(database: Database, kind: Kind[Definition]) -> dict[str, Version[Definition]]:
    """Return all regions, packs or plans, for sale or not, by name."""
    async with database.autocommit() as connection:
        return await _read_newest(connection, kind)


async def pack_version(database: Database, name: str, version: int) -> PackDefinition:
    """Return what a pack was made by one version, for sale or not.

    Raises:
        PackNotFound: there is no such version.
    """
    return await _version(database, PACK, name, version)


async def plan_version(database: Database, name: str, version: int) -> PlanDefinition:
    """Return what a plan was made by one version, for sale or not: what subscriptions to it are renewed by.

    Raises:
        PlanNotFound: there is no such version.
    """
    return await _version(database, PLAN, name, version)


async def list_versions(
    database: Database, kind: Kind[Definition], name: str, *, limit: int
) -> list[Version[Definition]]:
    """Return the versions of a region, a pack or a plan, newest first.

    Raises:
        RegionNotFound, PackNotFound, PlanNotFound: there is none of this name.
    """
    parameters = {"kind": kind.name, "name": name, "limit": limit}
    async with database.autocommit() as connection:
        rows = await (await connection.execute(sql.LIST_VERSIONS, parameters)).fetchall()
    if not rows:
        raise kind.not_found(name)
    return [_of_row(kind, row) for row in rows]


async def put_version(
    connection: Connection, kind: Kind[Definition], name: str, request: Request[Definition], *, changed_by: str
) -> Version[Definition]:
    """As `define_version`, in this transaction: once no other change of what is for sale is under way."""
    await connection.execute(sql.LOCK_SHOP)
    regions = await _read_newest(connection, REGION)
    definition = request.definition(name, {region: version.definition for region, version in regions.items()})
    newest = (await _read_newest(connection, kind)).get(definition.name)
    if newest is not None and newest.definition == definition:
        return newest
    parameters = {
        "kind": kind.name,
        "name": definition.name,
        "definition": msgspec.json.encode(definition).decode(),
        "created_by": changed_by,
    }
    row = await (await connection.execute(sql.INSERT_VERSION, parameters)).fetchone()
    assert row is not None, "an aggregate without groups has a row"
    return Version(version=row[0], definition=definition, created_at_us=to_us(row[1]), created_by=changed_by)


async def _read_newest(connection: Connection, kind: Kind[Definition]) -> dict[str, Version[Definition]]:
    rows = await (await connection.execute(sql.READ_NEWEST, {"kind": kind.name})).fetchall()
    versions = [_of_row(kind, row) for row in rows]
    return {version.definition.name: version for version in versions}


async def _version(database: Database, kind: Kind[Definition], name: str, version: int) -> Definition:
    parameters = {"kind": kind.name, "name": name, "version": version}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_VERSION, parameters)).fetchone()
    if row is None:
        raise kind.not_found(f"{name}@{version}")
    return _of_row(kind, row).definition


def _of_row(kind: Kind[Definition], row: Sequence[Any]) -> Version[Definition]:
    version, definition, created_at, created_by = row
    return Version(
        version=version,
        definition=msgspec.json.decode(definition, type=kind.definition),
        created_at_us=to_us(created_at),
        created_by=created_by,
    )
