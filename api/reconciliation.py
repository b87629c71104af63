"""What is on our providers' bills and on no customer's: jobs that went on after their generations had ended."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import get
from litestar.params import QueryParameter
from msgspec import Struct

from api.answers import Answer
from api.cursors import LIMIT_DEFAULT, IdCursor, Page, PageLimit, before_id, page_of
from api.fields import parse_id
from api.principal import AUDITORS
from api.requests import ApiRequest
from projections.money import format_micros
from workers.late_results import Entry, list_entries

OfAccount: TypeAlias = Annotated[str | None, QueryParameter(name="account_id", schema_extra={"format": "uuid"})]


class ReconciliationEntry(Struct, frozen=True, kw_only=True):
    """One job that nobody waited for.

    `late_success`: a result came all the same. `late_cost`: none came, but we pay. `unknown`: the provider never said
    what became of it. `cost_usd` is by the rates at admission; null where nobody knows.
    """

    id: UUID
    kind: str
    found_at: datetime
    account_id: UUID
    generation_id: UUID
    attempt: int
    call: int
    model: str
    provider: str
    upstream_id: str
    cost_usd: str | None
    detail: str

    @classmethod
    def of(cls, entry: Entry) -> "ReconciliationEntry":
        """Show an entry."""
        return cls(
            id=entry.id,
            kind=entry.kind,
            found_at=entry.found_at,
            account_id=entry.account_id,
            generation_id=entry.generation_id,
            attempt=entry.attempt,
            call=entry.call,
            model=entry.model,
            provider=entry.provider,
            upstream_id=entry.upstream_id,
            cost_usd=None if entry.cost_microdollars is None else format_micros(entry.cost_microdollars),
            detail=entry.detail,
        )


@get("/v1/admin/reconciliation", opt={"roles": AUDITORS})
async def list_all(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: IdCursor = None, account_id: OfAccount = None
) -> Answer[Page[ReconciliationEntry]]:
    """List entries to reconcile providers' bills with, newest first; of one account, or of all."""
    account = None if account_id is None else parse_id(account_id, name="account_id")
    entries = await list_entries(
        request.services.database, account_id=account, before=before_id(cursor), limit=limit + 1
    )
    shown = [ReconciliationEntry.of(entry) for entry in entries]
    return Answer(page_of(shown, limit=limit, cursor_of=lambda entry: entry.id))
