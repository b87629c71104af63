"""The API inside the test's own process, on real Postgres and Redis, for everything that does not stream."""

import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any, Final, cast
from uuid import uuid4

import httpx

from api.app import Application
from api.settings import read_settings
from ledger.database import Database
from workers.payments.catalogue.seed import seed_shop
from workers.seed import seed_catalogue
from workers.templates import seed_templates

ADMIN_KEY = "bootstrap-" + "a" * 40
JWT_SECRET = "jwt-" + "s" * 60

_idle: Final[list[Application]] = []
"""Applications that no test uses now. To make one, with all its routes, takes longer than many tests do."""


class Api:
    """A client that is an administrator, and what tests need to begin."""

    def __init__(self, application: Application, client: httpx.AsyncClient) -> None:
        self.application = application
        self.client = client

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, json: Any = None, *, key: str | None = None, **options: Any) -> httpx.Response:
        """Post under this idempotency key, or under one of its own."""
        headers = {"Idempotency-Key": uuid4().hex if key is None else key, **options.pop("headers", {})}
        return await self.client.post(path, json=json, headers=headers, **options)

    async def account(self, amount: str | None = "100") -> str:
        """The id of a new account that has these credits."""
        opened = await self.post("/v1/accounts", {"owner": uuid4().hex})
        assert opened.status_code == 201, opened.text
        account_id: str = opened.json()["id"]
        if amount is not None:
            topped_up = await self.post(f"/v1/accounts/{account_id}/top-ups", {"amount": amount})
            assert topped_up.status_code == 201, topped_up.text
        return account_id

    async def freeze(self, account_id: str, amount: str = "10") -> str:
        """The id of a new freeze."""
        frozen = await self.post(f"/v1/accounts/{account_id}/freezes", {"amount": amount})
        assert frozen.status_code == 201, frozen.text
        return frozen.json()["id"]

    async def key(self, role: str, account_id: str | None = None) -> dict[str, Any]:
        """A new API key, as it is shown once."""
        made = await self.post("/v1/keys", {"role": role, "name": "test", "account_id": account_id})
        assert made.status_code == 201, made.text
        return made.json()

    async def user(self, account_id: str | None = None) -> tuple[dict[str, str], str]:
        """The headers of a new user, and the account."""
        account_id = account_id or await self.account()
        return bearer((await self.key("user", account_id))["key"]), account_id

    async def role(self, role: str) -> dict[str, str]:
        """The headers of a caller with this role, who has no account."""
        return bearer((await self.key(role))["key"])

    async def generation(self, headers: dict[str, str], prompt: str = "one two three") -> str:
        """The id of a generation that nobody works on."""
        body = {"model": "echo", "input": {"prompt": prompt}}
        admitted = await self.client.post("/v1/generations", json=body, headers=headers)
        assert admitted.status_code == 202, admitted.text
        return admitted.json()["id"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextlib.asynccontextmanager
async def api_in_process(database_url: str, redis_url: str, **environment: str) -> AsyncGenerator[Api]:
    """Run the application's lifespan and hand out a client."""
    async with Database(database_url) as database:
        await seed_catalogue(database)
        await seed_templates(database)
        await seed_shop(database)
    settings = read_settings(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "HOLDFAST_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY,
            "HOLDFAST_JWT_SECRET": JWT_SECRET,
            **environment,
        }
    )
    logging.getLogger("api.access").setLevel(logging.WARNING)
    application = _idle.pop() if _idle else Application(settings)
    application.settings = settings
    transport = httpx.ASGITransport(cast("Any", application))
    async with application.running(), httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        client.headers.update(bearer(ADMIN_KEY))
        yield Api(application, client)
    _idle.append(application)
