"""The shop over HTTP: what callers can buy, and what administrators put into it."""

from typing import Any

import pytest

from tests.api_in_process import Api

PACK: dict[str, Any] = {
    "titles": {"en": "Tiny", "de": "Winzig"},
    "credits": "12.5",
    "prices": {"us": "1.50", "jp": "200"},
}
PLAN: dict[str, Any] = {"titles": {"en": "Team"}, "credits_per_period": "5000", "prices": {"eu": "29"}, "months": 3}


async def test_packs_are_listed_at_the_prices_of_a_currency_the_cheapest_first(api: Api) -> None:
    headers, _ = await api.user()

    listed = await api.get("/v1/packs", params={"currency": "KWD"}, headers=headers)

    assert listed.status_code == 200
    assert [item["name"] for item in listed.json()["items"]] == ["starter", "standard", "studio"]
    assert listed.json()["items"][0] == {
        "name": "starter",
        "version": 1,
        "title": "Starter, 1,000 credits",
        "credits": "1000",
        "expires_after_days": 365,
        "region": "kw",
        "price": {"amount": "3.100", "currency": "KWD", "tax_inclusive": True},
    }
    assert listed.json()["next_cursor"] is None


async def test_plans_are_listed_for_a_country_in_the_language_of_the_caller(api: Api) -> None:
    headers, _ = await api.user()

    listed = await api.get(
        "/v1/plans", params={"country": "RU"}, headers={**headers, "Accept-Language": "fi, ru;q=0.8, en;q=0.1"}
    )

    plus, pro = listed.json()["items"]
    assert (plus["name"], pro["name"]) == ("plus", "pro")
    assert plus == {
        "name": "plus",
        "version": 1,
        "title": "Plus, 2000 кредитов в месяц",
        "months": 1,
        "credits_per_period": "2000",
        "rollover_cap_credits": "1000",
        "daily_free_credits": "10",
        "change_grant_credits": "0",
        "proration": "none",
        "region": "ru",
        "price": {"amount": "1290.00", "currency": "RUB", "tax_inclusive": True},
    }


async def test_the_country_decides_between_price_lists_in_one_currency(api: Api) -> None:
    async def region(**params: str) -> tuple[str, bool]:
        first = (await api.get("/v1/packs", params=params)).json()["items"][0]
        return first["region"], first["price"]["tax_inclusive"]

    assert await region(currency="USD", country="US") == ("us", False)
    assert await region(currency="USD", country="DE") == ("world", True)
    assert await region(currency="USD") == ("world", True)
    assert await region() == ("world", True)


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"currency": "XTS"}, 422, "currency_not_offered"),
        ({"currency": "EUR", "country": "US"}, 422, "currency_not_offered"),
        ({"country": "ZZ", "currency": "JPY"}, 422, "currency_not_offered"),
        ({"currency": "usd"}, 400, "malformed_request"),
        ({"currency": "USD\n"}, 400, "malformed_request"),
        ({"country": "USA"}, 400, "malformed_request"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/packs", "/v1/plans"])
async def test_a_currency_that_nothing_is_sold_in_is_refused(
    api: Api, path: str, params: dict[str, str], status: int, code: str
) -> None:
    refused = await api.get(path, params=params)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_an_administrator_changes_what_is_for_sale_and_the_change_is_recorded(api: Api) -> None:
    added = await api.client.put("/v1/packs/tiny", json=PACK)
    changed = await api.client.put("/v1/packs/tiny", json={**PACK, "enabled": False})
    same = await api.client.put("/v1/packs/tiny", json={**PACK, "enabled": False})
    versions = (await api.get("/v1/packs/tiny/versions", headers=await api.role("finance"))).json()["items"]
    listed = (await api.get("/v1/packs", params={"currency": "JPY"})).json()["items"]

    assert (added.status_code, added.json()["version"], added.json()["created_by"]) == (200, 1, "bootstrap")
    assert added.json()["prices"] == {
        "jp": {"amount": "200", "currency": "JPY", "tax_inclusive": True},
        "us": {"amount": "1.50", "currency": "USD", "tax_inclusive": False},
    }
    assert (added.json()["credits"], added.json()["titles"]) == ("12.5", PACK["titles"])
    assert (changed.json()["version"], same.content) == (2, changed.content)
    assert [(item["version"], item["enabled"]) for item in versions] == [(2, False), (1, True)]
    assert "tiny" not in [item["name"] for item in listed]


async def test_plans_and_regions_are_changed_and_recorded_in_the_same_way(api: Api) -> None:
    region = {"currency": "ISK", "tax_inclusive": True, "countries": ["IS"]}

    iceland = await api.client.put("/v1/regions/is", json=region)
    team = await api.client.put("/v1/plans/team", json={**PLAN, "prices": {"is": "4200"}})
    moved = await api.client.put("/v1/regions/is", json={**region, "countries": ["FO", "IS"]})
    regions = (await api.get("/v1/regions", headers=(await api.user())[0])).json()["items"]

    assert (iceland.status_code, iceland.json()["version"], moved.json()["version"]) == (200, 1, 2)
    assert team.json()["prices"] == {"is": {"amount": "4200", "currency": "ISK", "tax_inclusive": True}}
    assert (team.json()["months"], team.json()["credits_per_period"]) == (3, "5000")
    assert {"name": "is", **region, "countries": ["FO", "IS"]} in regions
    for path, count in (("plans/team", 1), ("regions/is", 2), ("regions/eu", 1)):
        versions = (await api.get(f"/v1/{path}/versions")).json()["items"]
        assert [item["version"] for item in versions] == list(range(count, 0, -1)), path


async def test_only_administrators_change_the_shop_and_users_do_not_see_its_versions(api: Api) -> None:
    headers, _ = await api.user()
    region = {"currency": "ISK", "tax_inclusive": True}

    answers = [
        await api.client.put("/v1/packs/tiny", json=PACK, headers=headers),
        await api.client.put("/v1/plans/team", json=PLAN, headers=await api.role("service")),
        await api.client.put("/v1/regions/is", json=region, headers=await api.role("finance")),
        await api.get("/v1/packs/starter/versions", headers=headers),
        await api.get("/v1/plans/plus/versions", headers=await api.role("service")),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("packs/tiny", {**PACK, "prices": {"jp": "200.5"}}, "invalid_pack"),
        ("packs/tiny", {**PACK, "prices": {"moon": "1"}}, "invalid_pack"),
        ("packs/tiny", {**PACK, "credits": "0"}, "invalid_pack"),
        ("packs/tiny", {**PACK, "credits": 5}, "invalid_request"),
        ("packs/tiny", {**PACK, "tax": "1"}, "invalid_request"),
        ("plans/team", {**PLAN, "titles": {"de": "Mannschaft"}}, "invalid_plan"),
        ("plans/team", {**PLAN, "proration": "always"}, "invalid_request"),
        ("regions/is", {"currency": "XTS", "tax_inclusive": True}, "invalid_region"),
        ("regions/eu", {"currency": "EUR", "tax_inclusive": False}, "invalid_region"),
        ("regions/rest", {"currency": "USD", "tax_inclusive": True}, "invalid_region"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, path: str, body: dict[str, Any], code: str) -> None:
    refused = await api.client.put(f"/v1/{path}", json=body)

    assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text


@pytest.mark.parametrize("name", ["Tiny", "a:b", "-a", "a" * 101, "a%0A"])
async def test_a_name_that_is_none_is_refused(api: Api, name: str) -> None:
    refused = await api.client.put(f"/v1/packs/{name}", json=PACK)

    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("path", "code"),
    [("packs", "pack_not_found"), ("plans", "plan_not_found"), ("regions", "region_not_found")],
)
async def test_what_is_not_there_has_no_versions(api: Api, path: str, code: str) -> None:
    missing = await api.get(f"/v1/{path}/nothing/versions")

    assert (missing.status_code, missing.json()["code"]) == (404, code)
