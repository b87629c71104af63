"""The one place where errors become HTTP: RFC 9457 problem documents, each code with one status.

A code that is missing here answers 500, and `tests/unit/test_api_problems.py` fails.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import structlog
from litestar.connection import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Response
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from api.answers import PROBLEM, Header, RawAnswer
from api.errors import ApiError
from api.languages import wanted_language
from api.titles import title_of
from ledger.amounts import format_credits
from ledger.errors import LedgerError
from workers.errors import GenerationError
from workers.media.errors import MediaError
from workers.messages.errors import MessageError
from workers.messages.languages import DEFAULT
from workers.payments.errors import GatewayRefused, GatewayUnavailable, PaymentDeclined, PaymentError
from workers.payments.gateway import Declined, GatewayError
from workers.streams.errors import StreamError

RETRY_AFTER_S: Final = 1

STATUS_OF_CODE: Final[dict[str, int]] = {
    # 400: cannot be read
    "malformed_request": 400,
    "invalid_cursor": 400,
    "malformed_cursor": 400,
    "idempotency_key_required": 400,
    "invalid_signature": 400,
    "stale_webhook": 400,
    # 401, 403, 404, 405, 413, 415: may not, is not, or not in this form
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "account_not_found": 404,
    "freeze_not_found": 404,
    "lot_not_found": 404,
    "reversal_not_found": 404,
    "generation_not_found": 404,
    "batch_not_found": 404,
    "model_not_found": 404,
    "media_not_found": 404,
    "url_not_valid": 403,
    "tier_required": 403,
    "template_not_found": 404,
    "session_not_found": 404,
    "pack_not_found": 404,
    "plan_not_found": 404,
    "region_not_found": 404,
    "checkout_not_found": 404,
    "subscription_not_found": 404,
    "promo_code_not_found": 404,
    "auto_top_up_not_found": 404,
    "contact_not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    # 402: credits
    "insufficient_credits": 402,
    "account_in_debt": 402,
    "payment_declined": 402,
    # 409: at odds with what is there
    "freeze_already_resolved": 409,
    "freeze_exists": 409,
    "freeze_not_expired": 409,
    "lot_not_expirable": 409,
    "request_in_progress": 409,
    "rider_refused": 409,
    "generation_not_retryable": 409,
    "secret_not_replayable": 409,
    "upload_missing": 409,
    "transfer_not_offered": 409,
    "object_exists": 412,
    "range_not_satisfiable": 416,
    "session_busy": 409,
    "subscription_ended": 409,
    "plan_unchanged": 409,
    "checkout_expired": 409,
    "promo_code_expired": 409,
    "promo_code_used_up": 409,
    "promo_code_redeemed": 409,
    "promo_code_exists": 409,
    "saved_method_missing": 409,
    "already_subscribed": 409,
    # 422: readable, but means nothing that can be done
    "invalid_request": 422,
    "ambiguous_point": 422,
    "invalid_amount": 422,
    "invalid_text": 422,
    "invalid_command_key": 422,
    "out_of_range": 422,
    "amount_exceeds_freeze": 422,
    "amount_exceeds_top_up": 422,
    "balance_limit_exceeded": 422,
    "idempotency_key_reused": 422,
    "invalid_idempotency_key": 422,
    "invalid_input": 422,
    "input_too_long": 422,
    "invalid_model": 422,
    "invalid_price": 422,
    "media_type_not_allowed": 422,
    "media_too_large": 422,
    "media_not_stored": 422,
    "upload_mismatch": 422,
    "invalid_template": 422,
    "gateway_not_configured": 422,
    "gateway_refused": 422,
    "currency_not_offered": 422,
    "plan_not_sold_here": 422,
    "invalid_pack": 422,
    "invalid_plan": 422,
    "invalid_region": 422,
    "invalid_contact": 422,
    "invalid_promo_code": 422,
    "invalid_auto_top_up": 422,
    # 429: too often
    "too_many_promo_codes": 429,
    # 500, 503: ours
    "internal_error": 500,
    "contended": 503,
    "dependency_unavailable": 503,
    "media_store_unavailable": 503,
    "gateway_unavailable": 503,
}

_CODE_OF_HTTP_STATUS: Final = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_RETRYABLE: Final = frozenset(
    {
        "request_in_progress",
        "contended",
        "dependency_unavailable",
        "media_store_unavailable",
        "gateway_unavailable",
    }
)
_UNREACHABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    RedisError,
    ConnectionError,
    TimeoutError,
)
_AMOUNT_FIELD: Final = re.compile(r"`\$(?:\.commands\[\d*(?:\.\.\.)?\])?(?:\.paid)?\.amount`$")
_FIELD: Final = re.compile(r" - at `(\$[^`]*)`$")

_MEMBER_NAMES: Final = {"status": "state"}
"""`status` in a problem document is the HTTP status, so the status of a thing is told as its `state`."""

_log: Final = structlog.get_logger("api")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 has it. `code` is stable; `detail` is for people."""

    code: str
    detail: str
    members: dict[str, object] = {}
    headers: tuple[Header, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return STATUS_OF_CODE[self.code]

    def document(self, request_id: str, *, language: str = DEFAULT) -> dict[str, object]:
        """Return the members of the problem document, with its title in a language."""
        return {
            "type": f"urn:holdfast:problem:{self.code}",
            "title": title_of(self.code, status=self.status, language=language),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            **self.members,
        }

    def answer(self, request_id: str, *, language: str = DEFAULT) -> RawAnswer:
        """Return the answer to send, with its title in a language."""
        retry = ((b"retry-after", str(RETRY_AFTER_S).encode()),) if self.code in _RETRYABLE else ()
        challenge = ((b"www-authenticate", b'Bearer realm="holdfast"'),) if self.code == "unauthenticated" else ()
        spoken = ((b"content-language", language.encode()), (b"vary", b"accept-language"))
        body = msgspec.json.encode(self.document(request_id, language=language))
        headers = (*self.headers, *spoken, *retry, *challenge)
        return RawAnswer(body, status=self.status, content_type=PROBLEM, headers=headers)


INTERNAL: Final = Problem(code="internal_error", detail="something went wrong on our side; it has been recorded")


class ProblemResponse(Response[Any]):
    """A problem in the form in which Litestar wants exceptions answered."""

    def __init__(self, answer: RawAnswer) -> None:
        self._answer = answer

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return the answer, which is ready to be sent."""
        return self._answer


def handle(request: Request[Any, Any, Any], error: Exception) -> ProblemResponse:
    """Litestar's handler of every exception."""
    language = wanted_language(request.scope["headers"])
    return ProblemResponse(problem_of(error).answer(request.scope["state"]["request_id"], language=language))


def problem_of(error: Exception) -> Problem:
    """Find the problem that an exception is; an unknown one is logged and told without detail."""
    problem = _domain_problem(_without_words(error)) or _request_problem(error) or _dependency_problem(error)
    if problem is None:
        _log.error("unexpected_error", exc_info=error)
        return INTERNAL
    return problem


def _without_words(error: Exception) -> Exception:
    """Return what a caller may know of a gateway's answer, whose own words are for administrators."""
    if not isinstance(error, GatewayError):
        return error
    _log.warning("gateway_error", gateway=error.gateway, error=str(error), retryable=error.retryable)
    if isinstance(error, Declined):
        return PaymentDeclined(error.gateway)
    return GatewayUnavailable(error.gateway) if error.retryable else GatewayRefused(error.gateway)


def _domain_problem(error: Exception) -> Problem | None:
    if (
        not isinstance(
            error, ApiError | LedgerError | GenerationError | MediaError | MessageError | StreamError | PaymentError
        )
        or error.code not in STATUS_OF_CODE
    ):
        return None
    retry_after_s = getattr(error, "retry_after_s", None)
    headers = () if retry_after_s is None else ((b"retry-after", str(retry_after_s).encode()),)
    return Problem(code=error.code, detail=str(error), members=dict(_members(error)), headers=headers)


def _request_problem(error: Exception) -> Problem | None:
    if isinstance(error, msgspec.ValidationError):
        return _invalid_body(str(error))
    if isinstance(error, ValidationException):
        return _invalid_parameters(error)
    if isinstance(error, HTTPException) and error.status_code in _CODE_OF_HTTP_STATUS:
        return _http_problem(error)
    return None


def _dependency_problem(error: Exception) -> Problem | None:
    if isinstance(error, _UNREACHABLE):
        _log.warning("dependency_unavailable", error=f"{type(error).__name__}: {error}".strip())
        return Problem(code="dependency_unavailable", detail="a service this needs cannot be reached; try again soon")
    if isinstance(error, psycopg.DataError):
        _log.warning("unstorable_request", error=type(error).__name__)
        return Problem(code="invalid_request", detail="a value of the request cannot be stored")
    return None


def _members(error: Exception) -> Iterator[tuple[str, object]]:
    """Yield the numbers and ids a program needs, from the attributes of the error."""
    for attribute, value in vars(error).items():
        name = _MEMBER_NAMES.get(attribute, attribute)
        if name.endswith("_microcredits"):
            yield name.removesuffix("_microcredits"), format_credits(value)
        elif isinstance(value, UUID | str | int):
            yield name, value


def _invalid_body(message: str) -> Problem:
    field = _FIELD.search(message)
    errors = [{"field": field[1] if field else "$", "message": message[: field.start()] if field else message}]
    code = "invalid_amount" if _AMOUNT_FIELD.search(message) else "invalid_request"
    return Problem(code=code, detail=message, members={"errors": errors})


def _invalid_parameters(error: ValidationException) -> Problem:
    found = error.extra if isinstance(error.extra, list) else []
    if any(item.get("source") == "body" or item.get("key") == "data" for item in found):
        return Problem(code="malformed_request", detail="a JSON body is needed")
    errors = [{"field": item.get("key", ""), "message": item.get("message", "")} for item in found]
    return Problem(code="malformed_request", detail="a parameter is not of its form", members={"errors": errors})


def _http_problem(error: HTTPException) -> Problem:
    allow = (error.headers or {}).get("allow")
    return Problem(
        code=_CODE_OF_HTTP_STATUS[error.status_code],
        detail=HTTPStatus(error.status_code).description or HTTPStatus(error.status_code).phrase,
        headers=((b"allow", allow.encode()),) if allow else (),
    )
