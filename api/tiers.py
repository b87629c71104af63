"""The tier of an account: which queue its generations wait in, and which models it may use."""

from typing import Literal
from uuid import UUID

from litestar import get, put
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from api.accounts import account_answer
from api.answers import Answer
from api.principal import ADMINS, READERS
from api.requests import ApiRequest
from workers.tiers import AccountTier, Tier, read_tier, set_tier


class TierRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier to set. Null leaves it to what was paid: paid while credits are left that were paid for."""

    tier: Literal["paid", "free"] | None


class TierAnswer(Struct, frozen=True, kw_only=True):
    """An account's tier, and whether an administrator decided it or what was paid."""

    account_id: UUID
    tier: str
    decided_by: Literal["administrator", "payments"]


@get("/v1/accounts/{account_id:uuid}/tier", opt={"roles": READERS})
async def read(account_id: FromPath[UUID], request: ApiRequest) -> Answer[TierAnswer]:
    """Return an account's tier."""
    return Answer(await tier_answer(account_id, request))


@put("/v1/accounts/{account_id:uuid}/tier", opt={"roles": ADMINS, "problems": (404,)})
async def change(account_id: FromPath[UUID], data: JSONBody[TierRequest], request: ApiRequest) -> Answer[TierAnswer]:
    """Set an account's tier, or leave it to what was paid. Who did so stays recorded."""
    return Answer(await changed(account_id, data, request))


async def tier_answer(account_id: UUID, request: ApiRequest) -> TierAnswer:
    """Read an account's tier and show it.

    Raises:
        AccountNotFound: there is no such account.
    """
    await account_answer(request.services, account_id)
    return _shown(account_id, await read_tier(request.services.database, account_id))


async def changed(account_id: UUID, data: TierRequest, request: ApiRequest) -> TierAnswer:
    """Set the tier and show it.

    Raises:
        AccountNotFound: there is no such account.
    """
    services = request.services
    tier = None if data.tier is None else Tier[data.tier]
    found = await set_tier(services.database, account_id, tier, changed_by=request.principal.actor)
    services.generations.tiers.forget(account_id)
    return _shown(account_id, found)


def _shown(account_id: UUID, found: AccountTier) -> TierAnswer:
    return TierAnswer(
        account_id=account_id,
        tier=found.tier.name,
        decided_by="administrator" if found.is_set else "payments",
    )
