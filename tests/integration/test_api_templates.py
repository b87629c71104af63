from typing import Any

import pytest

from tests.api_in_process import Api

PATH = "/v1/templates"

GREETING: dict[str, Any] = {
    "text": "Greet {{name}}",
    "slots": [{"name": "name", "required": True, "max_length": 50}],
}


async def test_a_new_installation_has_templates_that_everyone_may_read(api: Api) -> None:
    headers, _ = await api.user()

    listed = (await api.get(PATH, headers=headers)).json()

    assert [item["name"] for item in listed["items"]] == ["article", "product-description", "summary"]
    assert listed["next_cursor"] is None
    summary = listed["items"][2]
    assert (summary["version"], summary["format"], summary["enabled"]) == (1, "text", True)
    assert summary["slots"][0] == {
        "name": "text", "description": "What to summarise.", "required": True, "max_length": 50_000,
    }  # fmt: skip


async def test_how_a_template_is_worded_is_not_for_users(api: Api) -> None:
    headers, _ = await api.user()

    (shown,) = (await api.get(PATH, params={"limit": 1}, headers=headers)).json()["items"]
    (seen,) = (await api.get(PATH, params={"limit": 1})).json()["items"]

    assert (shown["text"], shown["system"], shown["created_by"]) == (None, None, None)
    assert (seen["name"], seen["created_by"]) == (shown["name"], "templates.toml")
    assert "{{topic}}" in seen["text"]


async def test_an_administrator_changes_a_template_and_the_change_is_recorded(api: Api) -> None:
    added = await api.client.put(f"{PATH}/greeting", json=GREETING)
    changed = await api.client.put(f"{PATH}/greeting", json={**GREETING, "enabled": False})
    same = await api.client.put(f"{PATH}/greeting", json={**GREETING, "enabled": False})
    versions = (await api.get(f"{PATH}/greeting/versions", headers=await api.role("finance"))).json()["items"]

    assert (added.status_code, added.json()["version"], added.json()["text"]) == (
        200,
        1,
        GREETING["text"],
    )
    assert (changed.json()["version"], same.content) == (2, changed.content)
    assert [(item["version"], item["created_by"]) for item in versions] == [(2, "bootstrap"), (1, "bootstrap")]
    assert versions[0]["enabled"] is False


async def test_templates_are_listed_in_pages(api: Api) -> None:
    first = (await api.get(PATH, params={"limit": 2})).json()
    rest = (await api.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [item["name"] for item in first["items"] + rest["items"]] == ["article", "product-description", "summary"]
    assert rest["next_cursor"] is None


async def test_only_administrators_change_templates_and_users_do_not_see_their_versions(api: Api) -> None:
    headers, _ = await api.user()

    answers = [
        await api.client.put(f"{PATH}/greeting", json=GREETING, headers=headers),
        await api.client.put(f"{PATH}/greeting", json=GREETING, headers=await api.role("service")),
        await api.get(f"{PATH}/summary/versions", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("Greeting", GREETING, "invalid_template"),
        ("greeting", {**GREETING, "text": "Greet {{nobody}}"}, "invalid_template"),
        ("greeting", {**GREETING, "format": "json"}, "invalid_template"),
        ("greeting", {**GREETING, "format": "json", "schema": {"type": "array"}}, "invalid_template"),
        ("greeting", {"slots": []}, "invalid_request"),
        ("greeting", {**GREETING, "script": "x"}, "invalid_request"),
    ],
)
async def test_a_template_that_makes_no_sense_is_refused(api: Api, name: str, body: dict[str, Any], code: str) -> None:
    refused = await api.client.put(f"{PATH}/{name}", json=body)

    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_a_template_that_is_not_there_has_no_versions(api: Api) -> None:
    missing = await api.get(f"{PATH}/nothing/versions")

    assert (missing.status_code, missing.json()["code"]) == (404, "template_not_found")
