"""The OpenAPI document, built from the routes themselves: their types, roles, and the problems they answer."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Empty

from api.answers import Answer, RawAnswer
from api.principal import Role
from api.problems import STATUS_OF_CODE
from api.requests import ApiRequest
from api.streams import CURSOR_SCHEMA, EVENTS
from ledger.commands import COMMAND_KEY_MAX_CHARACTERS, OWN_KEY_PREFIX
from workers.messages.languages import LANGUAGES

VERSION: Final = "1"
_SCHEMAS: Final = "#/components/schemas/{name}"

_TITLES: Final = {
    200: "Done.",
    201: "Done, and something new is there.",
    202: "Taken on.",
    204: "Nothing more to say.",
    400: "The request cannot be read, or lacks its Idempotency-Key.",
    401: "No credential, or not a good one.",
    402: "The account does not have the credits.",
    403: "The role may not do this.",
    404: "There is no such thing, or it is someone else's.",
    409: "At odds with what is there, or the original request is still running.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request can be read, but cannot be meant.",
    429: "Too often; see Retry-After.",
    503: "Something this needs cannot be reached; see Retry-After.",
}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 has it. `code` is stable; further members hold the numbers a program needs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


@get("/schema/openapi.json", opt={"roles": None, "undocumented": True})
async def show_document(request: ApiRequest) -> ASGIApp:
    """Return this API's OpenAPI document."""
    return RawAnswer(rendered(tuple(request.app.routes)), status=200)


@lru_cache(maxsize=1)
def rendered(routes: tuple[Any, ...]) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(document(routes))


def document(routes: tuple[Any, ...]) -> dict[str, Any]:
    """Build the OpenAPI 3.1 document of these routes."""
    described = sorted(_documented(routes), key=lambda found: found[0])
    types: list[Any] = [ProblemDocument]
    types += [kind for _, _, handler in described for kind in (_body_type(handler), _answer_type(handler)) if kind]
    _, components = msgspec.json.schema_components(types, schema_hook=_any_value, ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler in described:
        paths.setdefault(path, {})[method] = _operation(path, method, handler)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": VERSION,
            "description": "Credits, generations and their streams. Amounts are decimal strings of credits.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "API key or JWT."}},
        },
    }


def _documented(routes: tuple[Any, ...]) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                if "undocumented" not in handler.opt:
                    yield route.path_format, method.lower(), handler


def _operation(path: str, method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    roles: frozenset[Role] | None = handler.opt["roles"]
    summary, _, _ = (handler.fn.__doc__ or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": f"{handler.fn.__module__.rpartition('.')[2]}_{handler.fn.__name__}",
        "summary": summary,
        "description": f"Roles: {', '.join(sorted(roles))}." if roles else "Open to all.",
        "tags": [path.split("/")[2] if path.startswith("/v1/") else "operations"],
        "security": [{"bearer": []}] if roles else [],
        "parameters": [*_parameters(handler), *_headers(method, handler)],
        "responses": _responses(method, handler),
    }
    if (body := _body_type(handler)) is not None:
        required = handler.parsed_fn_signature.parameters["data"].default is Empty
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": _reference(body)}}}
    return operation


def _parameters(handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name in {"data", "request"}:
            continue
        marker = field.kwarg_definition
        is_query = isinstance(marker, ParameterKwarg) and marker.param_type.value == "query"
        found: dict[str, Any] = {
            "name": (marker.name if is_query and isinstance(marker, ParameterKwarg) else None) or name,
            "in": "query" if is_query else "path",
            "required": field.default is Empty,
            "schema": _parameter_schema(field.annotation, marker if isinstance(marker, ParameterKwarg) else None),
        }
        if field.default is not Empty and field.default is not None:
            found["schema"]["default"] = field.default
        yield found


def _parameter_schema(annotation: Any, marker: ParameterKwarg | None) -> dict[str, Any]:
    kind = next(iter(set(get_args(annotation)) - {type(None)}), annotation)
    schema: dict[str, Any] = {"type": "integer"} if kind is int else {"type": "string"}
    if kind is UUID:
        schema["format"] = "uuid"
    if marker is not None:
        bounds = {"minimum": marker.ge, "maximum": marker.le, "maxLength": marker.max_length}
        schema.update({name: bound for name, bound in bounds.items() if bound is not None})
        schema.update(marker.schema_extra or {})
    return schema


def _headers(method: str, handler: HTTPRouteHandler) -> Iterator[dict[str, Any]]:
    if method == "post":
        schema = {"type": "string", "pattern": f"^(?!{OWN_KEY_PREFIX})[ -~]{{1,{COMMAND_KEY_MAX_CHARACTERS}}}$"}
        required = bool(handler.opt.get("moves_credits")) and not handler.opt.get("own_keys")
        yield {"name": "Idempotency-Key", "in": "header", "required": required, "schema": schema}
    if handler.opt.get("media_type") == EVENTS and _has_path_parameter(handler):
        description = "Where to go on from; wins over `cursor`."
        yield {"name": "Last-Event-ID", "in": "header", "description": description, "schema": CURSOR_SCHEMA}


def _responses(method: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    content = _answer_content(handler)
    responses: dict[str, Any] = {}
    for status in (handler.status_code, *handler.opt.get("also", ())):
        responses[str(status)] = (
            {"description": _TITLES[status]} if status == 204 else {"description": _TITLES[status], "content": content}
        )
        if headers := handler.opt.get("answer_headers"):
            responses[str(status)]["headers"] = headers
    for status in sorted(_problem_statuses(method, handler)):
        responses.setdefault(str(status), _problem(status))
    return responses


def _problem_statuses(method: str, handler: HTTPRouteHandler) -> set[int]:
    statuses = {400, *handler.opt.get("problems", ())}
    if handler.opt["roles"] is not None:
        statuses |= {401, 403, 503}
    if _has_path_parameter(handler):
        statuses |= {404}
    if method == "post":
        statuses |= {422}
    if handler.opt.get("moves_credits"):
        statuses |= {404}
    if _body_type(handler) is not None:
        statuses |= {413, 415, 422}
    return statuses


def _problem(status: int) -> dict[str, Any]:
    codes = sorted(code for code, of in STATUS_OF_CODE.items() if of == status)
    problem: dict[str, Any] = {
        "description": f"{_TITLES[status]} Codes: {', '.join(codes)}.",
        "content": {"application/problem+json": {"schema": _reference(ProblemDocument)}},
        "headers": {"Content-Language": {"schema": {"type": "string", "enum": list(LANGUAGES)}, "required": True}},
    }
    if status in {429, 503}:
        problem["headers"]["Retry-After"] = {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "required": True}
    if status == 401:
        problem["headers"]["WWW-Authenticate"] = {"schema": {"type": "string"}, "required": True}
    return problem


def _answer_content(handler: HTTPRouteHandler) -> dict[str, Any]:
    if media_type := handler.opt.get("media_type"):
        return {media_type: {} if media_type == EVENTS else {"schema": {"type": "string"}}}
    content: dict[str, Any] = {"application/json": {"schema": _reference(_answer_type(handler))}}
    if also_as := handler.opt.get("also_as"):
        content[also_as] = {"schema": {"type": "string"}}
    return content


def _reference(kind: Any) -> dict[str, Any]:
    (reference,), _ = msgspec.json.schema_components([kind], schema_hook=_any_value, ref_template=_SCHEMAS)
    return reference


def _any_value(kind: type) -> dict[str, Any]:
    """Describe `object`, which is whatever JSON has."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError


def _body_type(handler: HTTPRouteHandler) -> Any:
    data = handler.parsed_fn_signature.parameters.get("data")
    return None if data is None else data.annotation


def _answer_type(handler: HTTPRouteHandler) -> Any:
    annotation = handler.parsed_fn_signature.return_type.annotation
    return get_args(annotation)[0] if get_origin(annotation) is Answer else None


def _has_path_parameter(handler: HTTPRouteHandler) -> bool:
    return any("{" in path for path in handler.paths)
