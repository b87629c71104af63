"""Templates that texts are composed from: what callers may use, and what administrators do to them."""

from datetime import datetime
from typing import Annotated

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
from api.principal import ADMINS, AUDITORS, EVERYONE
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.modes import Template, TemplateDefinition
from workers.templates import define_template, list_template_versions, list_templates

TemplatePathName = Annotated[str, PathParameter(max_length=100)]


class TemplateAnswer(Struct, frozen=True, kw_only=True):
    """One version of a template. It never changes; callers name it by `name`, or by `name@version`."""

    name: str
    version: int
    definition: TemplateDefinition
    created_at: datetime
    created_by: str


@get("/v1/templates", opt={"roles": EVERYONE})
async def list_newest(
    request: ApiRequest, limit: PageLimit = LIMIT_DEFAULT, cursor: TextCursor = None
) -> Answer[Page[TemplateAnswer]]:
    """List the newest version of every template by name; one that is not enabled cannot be used."""
    found = await list_templates(request.services.database, after=after_text(cursor), limit=limit + 1)
    following = text_cursor([template.name for template in found], limit=limit)
    return Answer(Page([template_answer(template) for template in found[:limit]], following))


@put("/v1/templates/{name:str}", opt={"roles": ADMINS})
async def define(
    name: TemplatePathName, data: JSONBody[TemplateDefinition], request: ApiRequest
) -> Answer[TemplateAnswer]:
    """Add a template, or its next version. Who did so is recorded; what was admitted before keeps its version."""
    template = await define_template(request.services.database, name, data, changed_by=request.principal.actor)
    return Answer(template_answer(template))


@get("/v1/templates/{name:str}/versions", opt={"roles": AUDITORS})
async def list_versions(name: TemplatePathName, request: ApiRequest) -> Answer[Page[TemplateAnswer]]:
    """List the versions of a template, newest first: who made it what it is, and when. The newest 200 at most."""
    found = await list_template_versions(request.services.database, name, limit=LIMIT_MAX)
    return Answer(Page([template_answer(template) for template in found], None))


def template_answer(template: Template) -> TemplateAnswer:
    """Show a template."""
    return TemplateAnswer(
        name=template.name,
        version=template.version,
        definition=template.definition,
        created_at=from_us(template.created_at_us),
        created_by=template.created_by,
    )
