"""Contacts over the API, and problems in the language of whoever asked."""

import json
from uuid import UUID

import psycopg
import pytest

from tests.api_in_process import Api

ADA = {"email": "ada@example.com", "locale": "de-at", "time_zone": "Europe/Vienna", "country": "AT"}


async def test_a_user_says_where_messages_go_changes_it_and_takes_it_back(api: Api) -> None:
    headers, account_id = await api.user()
    mine = "/v1/me/contact"

    assert (await api.get(mine, headers=headers)).json()["code"] == "contact_not_found"
    kept = await api.client.put(mine, json=ADA, headers=headers)
    assert kept.status_code == 200
    contact = kept.json()
    assert {**contact, "updated_at": ""} == {**ADA, "locale": "de-AT", "updated_at": ""}
    assert (await api.get(mine, headers=headers)).json() == contact
    assert (await api.get(f"/v1/accounts/{account_id}/contact")).json() == contact

    changed = {"email": "lovelace@example.com", "locale": "fr", "time_zone": "UTC"}
    assert (await api.client.put(mine, json=changed, headers=headers)).json()["country"] is None
    assert (await api.get(mine, headers=headers)).json()["email"] == "lovelace@example.com"

    for _ in range(2):
        assert (await api.client.delete(mine, headers=headers)).status_code == 204
    assert (await api.get(mine, headers=headers)).status_code == 404


async def test_a_service_says_where_messages_to_an_account_go(api: Api) -> None:
    service, account_id = await api.role("service"), await api.account()
    path = f"/v1/accounts/{account_id}/contact"

    assert (await api.client.put(path, json=ADA, headers=service)).status_code == 200
    assert (await api.get(path, headers=service)).json()["email"] == "ada@example.com"
    assert (await api.client.delete(path, headers=service)).status_code == 204
    assert (await api.get(path, headers=service)).json()["code"] == "contact_not_found"


async def test_nobody_reaches_contacts_that_are_not_theirs(api: Api) -> None:
    user, _ = await api.user()
    path = f"/v1/accounts/{await api.account()}/contact"
    finance = await api.role("finance")

    assert (await api.get(path, headers=user)).status_code == 403
    assert (await api.client.put(path, json=ADA, headers=user)).status_code == 403
    assert (await api.client.put(path, json=ADA, headers=finance)).status_code == 403
    assert (await api.client.delete(path, headers=finance)).status_code == 403


async def test_an_account_that_does_not_exist_has_no_contact(api: Api) -> None:
    unknown = f"/v1/accounts/{UUID(int=3)}/contact"

    assert (await api.get(unknown)).status_code == 404
    assert (await api.client.put(unknown, json=ADA)).json()["code"] == "account_not_found"
    assert (await api.client.delete(unknown)).json()["code"] == "account_not_found"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ada@localhost"),
        ("email", "ada@example.com\r\nBcc: eve@example.com"),
        ("locale", "pt-BR"),
        ("time_zone", "Mars/Olympus"),
        ("country", "ZZ"),
    ],
)
async def test_a_contact_that_we_cannot_use_is_refused_by_its_field(api: Api, field: str, value: str) -> None:
    headers, _ = await api.user()

    refused = await api.client.put("/v1/me/contact", json={**ADA, field: value}, headers=headers)

    assert refused.status_code == 422
    assert (refused.json()["code"], refused.json()["field"]) == ("invalid_contact", field)
    assert value not in refused.text


async def test_a_contact_is_in_no_event_of_the_ledger(api: Api, database_url: str) -> None:
    headers, _ = await api.user()
    await api.client.put("/v1/me/contact", json=ADA, headers=headers)

    with psycopg.connect(database_url) as connection:
        bodies = connection.execute("SELECT convert_from(body, 'UTF8') FROM events").fetchall()

    assert bodies
    assert not any("ada@example.com" in body for (body,) in bodies)


@pytest.mark.parametrize(
    ("wanted", "language", "title"),
    [
        (None, "en", "Freeze not found"),
        ("de-AT, en;q=0.5", "de", "Reservierung nicht gefunden"),
        ("ru", "ru", "Заморозка не найдена"),
        ("ja", "ja", "凍結が見つかりません"),
        ("zh-Hant", "zh", "未找到冻结记录"),
        ("pt", "en", "Freeze not found"),
        ("x" * 5_000, "en", "Freeze not found"),
    ],
)
async def test_a_problem_is_called_by_its_name_in_the_callers_language(
    api: Api, wanted: str | None, language: str, title: str
) -> None:
    headers = {} if wanted is None else {"Accept-Language": wanted}

    answer = await api.get(f"/v1/freezes/{UUID(int=3)}", headers=headers)

    problem = json.loads(answer.content)
    assert (answer.status_code, problem["code"], problem["title"]) == (404, "freeze_not_found", title)
    assert problem["detail"] == f"no freeze {UUID(int=3)}"
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "accept-language"


@pytest.mark.parametrize(
    ("method", "path", "headers", "title"),
    [
        ("GET", "/v1/nothing/here", {}, "Introuvable"),
        ("PATCH", "/v1/me", {}, "Méthode non autorisée"),
        ("GET", "/v1/me", {"Authorization": "Bearer wrong"}, "Veuillez vous identifier"),
        ("POST", "/v1/accounts", {"Content-Type": "text/plain"}, "La requête doit être au format JSON"),
    ],
)
async def test_problems_from_every_depth_of_the_api_are_translated(
    api: Api, method: str, path: str, headers: dict[str, str], title: str
) -> None:
    answer = await api.client.request(method, path, headers={"Accept-Language": "fr", **headers}, content=b"{}")

    assert answer.json()["title"] == title
    assert answer.headers["content-language"] == "fr"


async def test_an_answer_that_is_no_problem_says_nothing_of_languages(api: Api) -> None:
    answer = await api.get("/v1/me", headers={"Accept-Language": "fr"})

    assert answer.status_code == 200
    assert "content-language" not in answer.headers
