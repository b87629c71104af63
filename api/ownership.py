"""Whose things a caller may touch: a user the own account's, everyone else any. What is not theirs does not exist."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from api.coalescing import Coalescer
from api.errors import InvalidRequest
from api.lookups import LookupConnection
from api.principal import Principal, Role
from ledger import statements
from ledger.arrays import UuidArray
from ledger.errors import AccountNotFound
from workers.errors import GenerationNotFound

sql: Final = statements.load("api")

ADMITTED_KEPT: Final = 4_096
"""Of how many generations that were admitted here it is known whose they are."""


def visible_account(principal: Principal, account_id: UUID | None) -> UUID | None:
    """Return the one account whose things this caller may see; None for all.

    Raises:
        AccountNotFound: a user asks for someone else's.
    """
    if principal.role is not Role.user:
        return account_id
    if account_id is not None and account_id != principal.account_id:
        raise AccountNotFound(account_id)
    return principal.account_id


def acting_account(principal: Principal, account_id: UUID | None) -> UUID:
    """Return the account on whose behalf this caller acts.

    Raises:
        AccountNotFound: a user names someone else's.
        InvalidRequest: a service or an administrator names none.
    """
    acting = visible_account(principal, account_id)
    if acting is None:
        raise InvalidRequest("account_id says on whose behalf; only users may leave it out")
    return acting


def own_account(principal: Principal) -> UUID:
    """Return the account of a user; routes for users only admit nobody else."""
    assert principal.account_id is not None, "a user has an account"
    return principal.account_id


class GenerationOwners:
    """Knows whose generations are, without reading them; look-ups that arrive together share one query.

    Whose one is never changes, and who starts one asks for its events next: those admitted here are known.
    """

    def __init__(self, lookups: LookupConnection) -> None:
        self._lookups = lookups
        self._owners = Coalescer(self._fetch)
        self._admitted: dict[UUID, UUID] = {}

    def remember(self, generation_id: UUID, account_id: UUID) -> None:
        """Be told of a generation that was admitted here; the oldest is forgotten for it."""
        if generation_id not in self._admitted and len(self._admitted) >= ADMITTED_KEPT:
            del self._admitted[next(iter(self._admitted))]
        self._admitted[generation_id] = account_id

    async def check(self, generation_id: UUID, principal: Principal) -> None:
        """Make sure that the caller may see this generation.

        Raises:
            GenerationNotFound: there is none, or it is another account's.
        """
        owner = self._admitted.get(generation_id) or await self._owners.get(generation_id)
        if owner is None or (principal.role is Role.user and owner != principal.account_id):
            raise GenerationNotFound(generation_id)

    async def _fetch(self, generation_ids: set[UUID]) -> Mapping[UUID, UUID]:
        rows = await self._lookups.fetch(sql.READ_GENERATION_OWNERS, {"ids": UuidArray.of(list(generation_ids))})
        return {row[0]: row[1] for row in rows}
