"""Where Postgres and Redis are: given by the environment, run by an instance that is up, or started for a command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Mapping

import msgspec

from ops.errors import CannotReach
from ops.instance import DataDirectory
from ops.reach import postgres_version, redis_version
from ops.services.postgres import EmbeddedPostgres
from ops.services.redis import EmbeddedRedis

TAKE_TURNS_S = 15


class Endpoints(msgspec.Struct, frozen=True):
    """The addresses every process of an installation gets, under the names of the environment variables."""

    database_url: str
    database_owner_url: str
    redis_url: str

    def environment(self) -> dict[str, str]:
        """Return these addresses as environment variables."""
        return {
            "DATABASE_URL": self.database_url,
            "DATABASE_OWNER_URL": self.database_owner_url,
            "REDIS_URL": self.redis_url,
        }


class Embedded(msgspec.Struct, frozen=True):
    """The servers that run in the data directory because no URL says where others are."""

    postgres: EmbeddedPostgres | None
    redis: EmbeddedRedis | None

    @classmethod
    def needed(cls, directory: DataDirectory, environment: Mapping[str, str] = os.environ) -> Embedded:
        """Choose what has to run here, given the URLs that are set."""
        return cls(
            None if environment.get("DATABASE_URL") else EmbeddedPostgres(directory.path),
            None if environment.get("REDIS_URL") else EmbeddedRedis(directory.path),
        )

    def endpoints(self, environment: Mapping[str, str] = os.environ) -> Endpoints:
        """Return the addresses, of our servers or of those in the environment."""
        database_url = environment.get("DATABASE_URL", "")
        owner_url = environment.get("DATABASE_OWNER_URL") or database_url
        return Endpoints(
            database_url if self.postgres is None else self.postgres.app_url,
            owner_url if self.postgres is None else self.postgres.owner_url,
            environment.get("REDIS_URL", "") if self.redis is None else self.redis.url,
        )

    async def start(self) -> None:
        """Start what is ours and look at what is not.

        Raises:
            CannotReach: a server did not start, cannot be reached or has an unsupported version.
        """
        endpoints = self.endpoints()
        if self.postgres is None:
            await postgres_version(endpoints.database_url)
        else:
            await self.postgres.start()
        if self.redis is None:
            await redis_version(endpoints.redis_url)
        else:
            await self.redis.start()

    async def stop(self, *, immediately: bool = False) -> None:
        """Stop what is ours; `immediately` leaves recovery to the next start."""
        if self.redis is not None:
            await self.redis.stop("kill" if immediately else "fast")
        if self.postgres is not None:
            await self.postgres.stop("immediate" if immediately else "fast")


@contextlib.asynccontextmanager
async def reached_database(directory: DataDirectory) -> AsyncGenerator[Endpoints]:
    """Postgres for the length of one command.

    The one in the environment; else the one of the instance that is up in this data directory; else the data
    directory's own, started for this command and stopped after it, one command at a time.

    Raises:
        CannotReach: there is none, or it cannot be reached.
    """
    if os.environ.get("DATABASE_URL"):
        endpoints = Embedded(None, None).endpoints()
        await postgres_version(endpoints.database_url)
        yield endpoints
        return
    running = directory.running()
    if running is not None:
        yield Endpoints(running.database_url, running.database_owner_url, running.redis_url)
        return
    if not (directory.path / "postgres").exists():
        raise CannotReach(
            f"no database: DATABASE_URL is not set and {directory.path} holds none; start one with `holdfast up`"
        )
    async with directory.locked(wait_s=TAKE_TURNS_S), EmbeddedPostgres(directory.path) as postgres:
        yield Endpoints(postgres.app_url, postgres.owner_url, os.environ.get("REDIS_URL", ""))
