"""Templates that texts are composed from: what callers may use, and what administrators do to them."""

from datetime import datetime
from typing import Annotated, Any

from litestar import get, put
from litestar.params import JSONBody, PathParameter
from msgspec import Struct

from api.answers import Answer
from api.cursors import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    Page,
    PageLimit,
    TextCursor,
    after_text,
    text_cursor,
)
from api.principal import ADMINS, AUDITORS, EVERYONE, Principal
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.modes import Template, TemplateDefinition
from workers.modes.templating import Format, Slot
from workers.templates import define_template, list_template_versions, list_templates

TemplatePathName = Annotated[str, PathParameter(max_length=100)]


class TemplateAnswer(Struct, frozen=True, kw_only=True):
    """One version of a template. It never changes; callers name it by `name`, or by `name@version`.

    How it is worded, and by whom, is for administrators and finance only.
    """

    name: str
    version: int
    description: str
    slots: list[Slot]
    format: Format
    schema: dict[str, Any] | None
    enabled: bool
    """Whether it can be used."""
    text: str | None
    system: str | None
    created_at: datetime
    created_by: str | None


@get("/v1/templates", opt={"roles": EVERYONE})
async def list_newest(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: TextCursor = None
) -> Answer[Page[TemplateAnswer]]:
    """List the newest version of every template by name; one that is not enabled cannot be used."""
    found = await list_templates(request.services.database, after=after_text(cursor), limit=limit + 1)
    following = text_cursor([template.name for template in found], limit=limit)
    answers = [template_answer(template, request.principal) for template in found[:limit]]
    return Answer(Page(answers, following))


@put("/v1/templates/{name:str}", opt={"roles": ADMINS})
async def define(
    name: TemplatePathName, data: JSONBody[TemplateDefinition], request: ApiRequest
) -> Answer[TemplateAnswer]:
    """Add a template, or its next version. Who did so is recorded; what was admitted before keeps its version."""
    template = await define_template(request.services.database, name, data, changed_by=request.principal.actor)
    return Answer(template_answer(template, request.principal))


@get("/v1/templates/{name:str}/versions", opt={"roles": AUDITORS})
async def list_versions(name: TemplatePathName, request: ApiRequest) -> Answer[Page[TemplateAnswer]]:
    """List the versions of a template, newest first: who made it what it is, and when. The newest 200 at most."""
    found = await list_template_versions(request.services.database, name, limit=LIMIT_MAX)
    return Answer(Page([template_answer(template, request.principal) for template in found], None))


def template_answer(template: Template, principal: Principal) -> TemplateAnswer:
    """Show a template to this caller."""
    definition, sees_wording = template.definition, principal.role in AUDITORS
    return TemplateAnswer(
        name=template.name,
        version=template.version,
        description=definition.description,
        slots=list(definition.slots),
        format=definition.format,
        schema=definition.schema,
        enabled=definition.enabled,
        text=definition.text if sees_wording else None,
        system=definition.system if sees_wording else None,
        created_at=from_us(template.created_at_us),
        created_by=template.created_by if sees_wording else None,
    )
