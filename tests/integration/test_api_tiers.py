"""The tier of an account, and the place of a generation in its queue, over the API."""

from uuid import UUID

from tests.api_in_process import Api


async def test_who_has_paid_is_paid_until_an_administrator_says_otherwise(api: Api) -> None:
    account_id = await api.account()
    path = f"/v1/accounts/{account_id}/tier"
    assert (await api.get(path)).json() == {"account_id": account_id, "tier": "free", "decided_by": "payments"}

    paid = {"amount": "10", "paid": {"amount": "5", "currency": "EUR"}}
    await api.post(f"/v1/accounts/{account_id}/top-ups", paid)
    assert (await api.get(path)).json()["tier"] == "paid"

    changed = await api.client.put(path, json={"tier": "free"})
    assert changed.json() == {"account_id": account_id, "tier": "free", "decided_by": "administrator"}
    assert (await api.get(path)).json() == changed.json()

    await api.client.put(path, json={"tier": None})
    assert (await api.get(path)).json() == {"account_id": account_id, "tier": "paid", "decided_by": "payments"}


async def test_only_administrators_set_a_tier_and_only_of_accounts_that_exist(api: Api) -> None:
    user, account_id = await api.user()
    unknown = f"/v1/accounts/{UUID(int=3)}/tier"

    assert (
        await api.client.put(f"/v1/accounts/{account_id}/tier", json={"tier": "paid"}, headers=user)
    ).status_code == 403
    assert (await api.client.put(unknown, json={"tier": "paid"})).json()["code"] == "account_not_found"
    assert (await api.get(unknown)).status_code == 404
    assert (await api.client.put(unknown, json={"tier": "gold"})).status_code == 422


async def test_a_generation_says_where_it_stands_while_it_waits(api: Api) -> None:
    headers, _ = await api.user()
    body = {"model": "echo", "input": {"prompt": "one"}}
    first = await api.post("/v1/generations", body, headers=headers)
    for _ in range(10):
        await api.post("/v1/generations", body, headers=headers)
    last = await api.post("/v1/generations", body, key="last", headers=headers)

    assert (first.json()["position"], first.json()["estimated_wait_s"]) == (0, 0)
    assert (last.json()["position"], last.json()["estimated_wait_s"]) == (11, None)
    found = (await api.get(f"/v1/generations/{last.json()['id']}", headers=headers)).json()
    assert (found["position"], found["tier"], found["batch_id"]) == (11, "free", None)

    await api.post(f"/v1/generations/{first.json()['id']}/cancel", headers=headers)

    found = (await api.get(f"/v1/generations/{last.json()['id']}", headers=headers)).json()
    assert found["position"] == 10
    again = await api.post("/v1/generations", body, key="last", headers=headers)
    assert again.content == last.content
    assert (await api.get(f"/v1/generations/{first.json()['id']}", headers=headers)).json()["position"] is None
