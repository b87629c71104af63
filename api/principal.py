"""Who is asking, and what each role may do."""

from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct


class Role(StrEnum):
    """What a credential is for."""

    user = "user"
    """One account's owner: generations, streams and the own balance."""
    service = "service"
    """A trusted backend: accounts and ledger, and generations on behalf of an account."""
    admin = "admin"
    """All of it, and keys, adjustments and prices."""
    finance = "finance"
    """Reads everything, moves nothing."""


MOVERS: Final = frozenset({Role.service, Role.admin})
"""May move the credits of any account."""

READERS: Final = frozenset({Role.service, Role.admin, Role.finance})
"""May read any account."""

ADMINS: Final = frozenset({Role.admin})
AUDITORS: Final = frozenset({Role.admin, Role.finance})
USERS: Final = frozenset({Role.user})
RUNNERS: Final = frozenset({Role.user, Role.service, Role.admin})
"""May start generations: a user for the own account, the others on behalf of one."""

EVERYONE: Final = frozenset(Role)


class Principal(Struct, frozen=True):
    """An authenticated caller."""

    role: Role
    actor: str
    """What the ledger records as the actor: `key:<id>`, `jwt:<subject>` or `bootstrap`; never personal data."""
    account_id: UUID | None = None
    """The account of a user; others have none."""
