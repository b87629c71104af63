"""Who gets in where. The routes come from the application, so a new one is covered before anyone thinks of it."""

from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from api.app import Application
from api.principal import Role
from api.settings import read_settings
from tests.api_in_process import ADMIN_KEY, Api, bearer

OPEN_TO_ALL = {
    "/health/live",
    "/health/ready",
    "/metrics",
    "/schema/openapi.json",
    # These carry a signature of their own.
    "/media/{key}",
    "/webhooks/{gateway}",
    "/webhooks/providers/{provider}/{token}",
}
OWN_RESOURCES = {"generation_id"}
"""Path parameters of routes that users share with others: someone else's id must look like one that does not exist."""


class Operation(NamedTuple):
    method: str
    path: str
    roles: frozenset[Role] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, **ids: str) -> str:
        """The path with these ids, and with ids of nothing for the rest."""
        path = self.path
        for part in self.path.split("/"):
            if part.startswith("{"):
                name = part.strip("{}")
                path = path.replace(part, ids.get(name, "nothing" if name == "name" else str(uuid4())))
        return path


def operations() -> list[Operation]:
    settings = {"DATABASE_URL": "postgresql://unused", "HOLDFAST_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY}
    return [
        Operation(method, route.path_format, handler.opt["roles"])
        for route in Application(read_settings(settings)).routed.routes
        for handler in getattr(route, "route_handlers", ())
        for method in sorted(handler.http_methods - {"OPTIONS"})
    ]


OPERATIONS = operations()
GUARDED = [operation for operation in OPERATIONS if operation.path not in OPEN_TO_ALL]
FOR_USERS = [
    operation
    for operation in GUARDED
    if operation.roles and Role.user in operation.roles and any(name in operation.path for name in OWN_RESOURCES)
]


def test_only_health_metrics_the_schema_and_what_is_signed_are_open_to_all() -> None:
    assert {operation.path for operation in OPERATIONS if operation.roles is None} == OPEN_TO_ALL
    assert len(GUARDED) >= 25
    assert len(FOR_USERS) == 4


def test_finance_reads_and_moves_nothing() -> None:
    assert all(operation.method == "GET" for operation in GUARDED if Role.finance in (operation.roles or ()))


async def answer_of(api: Api, operation: Operation, headers: dict[str, str] | None, **ids: str) -> Any:
    """Ask as this caller, with a key and with a body that nothing would take."""
    given = {"Idempotency-Key": uuid4().hex, "Authorization": "", **(headers or {})}
    if not given["Authorization"]:
        del given["Authorization"]
        api.client.headers.pop("Authorization", None)
    try:
        return await api.client.request(operation.method, operation.at(**ids), headers=given)
    finally:
        api.client.headers.update(bearer(ADMIN_KEY))


async def test_every_route_refuses_a_missing_an_unknown_and_a_revoked_key(api: Api) -> None:
    revoked = await api.key("admin")
    assert (await api.client.delete(f"/v1/keys/{revoked['id']}")).status_code == 204
    unknown = f"hf_{uuid4().hex}_{'x' * 43}"

    for operation in GUARDED:
        for headers in (None, bearer(unknown), bearer(revoked["key"]), bearer("x" * 50)):
            refused = await answer_of(api, operation, headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated"), operation


async def test_a_key_in_use_is_refused_from_the_answer_to_its_revocation_on(api: Api) -> None:
    key = await api.key("admin")
    for _ in range(3):
        assert (await api.client.get("/v1/keys", headers=bearer(key["key"]))).status_code == 200

    assert (await api.client.delete(f"/v1/keys/{key['id']}")).status_code == 204

    assert (await api.client.get("/v1/keys", headers=bearer(key["key"]))).status_code == 401


async def test_every_route_refuses_roles_it_is_not_for(api: Api) -> None:
    user, _ = await api.user()
    callers = {Role.user: user, **{role: await api.role(role) for role in Role if role is not Role.user}}

    for operation in GUARDED:
        for role in set(Role) - set(operation.roles or ()):
            refused = await answer_of(api, operation, callers[role])
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), (operation, role)


@pytest.mark.parametrize("operation", FOR_USERS, ids=str)
async def test_another_users_generation_does_not_exist(api: Api, operation: Operation) -> None:
    owner, _ = await api.user()
    other, _ = await api.user()
    generation_id = await api.generation(owner)
    cursors = {"Last-Event-ID": "0001.000000000001"} if operation.path.endswith("/events") else {}

    theirs = await answer_of(api, operation, {**other, **cursors}, generation_id=generation_id)
    nobodys = await answer_of(api, operation, {**other, **cursors})

    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.json()["code"] == nobodys.json()["code"] == "generation_not_found"
    listed = await api.get("/v1/generations", headers=other)
    assert listed.json()["items"] == []


async def test_another_users_account_does_not_exist(api: Api) -> None:
    user, _ = await api.user()
    other = await api.account()

    listed = await api.get("/v1/generations", params={"account_id": other}, headers=user)
    started = await api.post(
        "/v1/generations", {"model": "echo", "input": {"prompt": "x"}, "account_id": other}, headers=user
    )

    assert [(answer.status_code, answer.json()["code"]) for answer in (listed, started)] == [
        (404, "account_not_found")
    ] * 2


async def test_a_repeated_request_shows_nobody_elses_answer(api: Api) -> None:
    owner, _ = await api.user()
    other, _ = await api.user()
    generation_id = await api.generation(owner)
    body = {"model": "echo", "input": {"prompt": "mine"}}
    mine = await api.post("/v1/generations", body, key="shared", headers=owner)
    await api.post(f"/v1/generations/{generation_id}/cancel", key="cancel", headers=owner)

    theirs = await api.post("/v1/generations", body, key="shared", headers=other)
    cancelled = await api.post(f"/v1/generations/{generation_id}/cancel", key="cancel", headers=other)

    assert theirs.json()["id"] != mine.json()["id"]
    assert (cancelled.status_code, cancelled.json()["code"]) == (404, "generation_not_found")


async def test_a_users_own_generation_hides_the_providers_words(api: Api) -> None:
    user, _ = await api.user()
    generation_id = await api.generation(user)

    assert (await api.get(f"/v1/generations/{generation_id}", headers=user)).json()["provider_message"] is None
