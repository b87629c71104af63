"""Finding a freeze by its id, which is all that callers who resolve one send."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from api.coalescing import Coalescer
from api.lookups import LookupConnection
from ledger import statements
from ledger.account import FreezeState
from ledger.arrays import UuidArray
from ledger.errors import FreezeNotFound
from ledger.reads import FreezeView

sql: Final = statements.load("api")


class FreezeReader:
    """Reads freezes as they are now; reads that arrive together share one query."""

    def __init__(self, lookups: LookupConnection) -> None:
        self._lookups = lookups
        self._freezes = Coalescer(self._fetch)

    async def get(self, freeze_id: UUID) -> FreezeView:
        """Return the freeze.

        Raises:
            FreezeNotFound: there is none.
        """
        freeze = await self.find(freeze_id)
        if freeze is None:
            raise FreezeNotFound(freeze_id)
        return freeze

    async def find(self, freeze_id: UUID) -> FreezeView | None:
        """Return the freeze, or None where `get` raises."""
        return await self._freezes.get(freeze_id)

    async def _fetch(self, freeze_ids: set[UUID]) -> Mapping[UUID, FreezeView]:
        rows = await self._lookups.fetch(sql.READ_FREEZES_BY_ID, {"ids": UuidArray.of(list(freeze_ids))})
        return {row[0]: FreezeView(row[0], row[1], row[2], FreezeState(row[3]), *row[4:]) for row in rows}
