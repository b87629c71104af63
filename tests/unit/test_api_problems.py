"""Every error that can reach a caller has a code of its own and one HTTP status."""

from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest

import api.errors
import ledger.errors
import workers.errors
import workers.media.errors
import workers.messages.errors
import workers.payments.errors
import workers.streams.errors
from api.problems import STATUS_OF_CODE, problem_of
from ledger.errors import InsufficientCredits, InvalidAmount
from workers.errors import GenerationNotRetryable
from workers.payments.gateway import Declined, GatewayError

BASES = (
    api.errors.ApiError,
    ledger.errors.LedgerError,
    workers.errors.GenerationError,
    workers.media.errors.MediaError,
    workers.messages.errors.MessageError,
    workers.payments.errors.PaymentError,
)
NEVER_ANSWERED = {"stream_fenced", "stream_event_refused", "unreadable_stream_entry"}
"""Only a worker sees these."""


def subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    for child in base.__subclasses__():
        yield child
        yield from subclasses(child)


def leaves(base: type[Exception]) -> list[type[Exception]]:
    return [child for child in subclasses(base) if not child.__subclasses__()]


ERRORS = [error for base in (*BASES, workers.streams.errors.StreamError) for error in leaves(base)]


def code_of(error: type[Exception]) -> str:
    return error.code  # type: ignore[attr-defined, no-any-return]  # pyright: ignore


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_status(error: type[Exception]) -> None:
    assert code_of(error) in STATUS_OF_CODE or code_of(error) in NEVER_ANSWERED


def test_no_two_errors_share_a_code() -> None:
    codes = [code_of(error) for error in ERRORS]

    assert len(set(codes)) == len(codes)


def test_no_status_is_kept_for_a_code_that_nobody_raises() -> None:
    of_http = {"method_not_allowed", "body_too_large", "internal_error", "dependency_unavailable"}

    assert set(STATUS_OF_CODE) <= {code_of(error) for error in ERRORS} | of_http


def test_a_problem_tells_amounts_in_credits() -> None:
    problem = problem_of(InsufficientCredits(required_microcredits=1_500_000, available_microcredits=1))

    assert problem.status == 402
    assert problem.members == {"required": "1.5", "available": "0.000001"}


def test_the_status_of_a_thing_does_not_hide_the_status_of_the_answer() -> None:
    generation_id = uuid4()

    document = problem_of(GenerationNotRetryable(generation_id, status="running")).document("r")

    assert (document["status"], document["state"], document["generation_id"]) == (409, "running", generation_id)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GatewayError("stripe", "no answer from sk_live", retryable=True), 503, "gateway_unavailable"),
        (GatewayError("stripe", "no such thing as sk_live", retryable=False), 422, "gateway_refused"),
        (Declined("stripe", "insufficient_funds, says sk_live"), 402, "payment_declined"),
    ],
)
def test_what_a_gateway_said_is_not_told_to_callers(error: GatewayError, status: int, code: str) -> None:
    problem = problem_of(error)

    assert (problem.status, problem.code, problem.members) == (status, code, {"gateway": "stripe"})
    assert "sk_live" not in str(problem.document("r"))


def test_an_unknown_error_tells_nothing() -> None:
    problem = problem_of(RuntimeError("password=hunter2"))

    assert (problem.code, problem.status) == ("internal_error", 500)
    assert "hunter2" not in str(problem.document("r"))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Expected `str`, got `int` - at `$.amount`", "invalid_amount"),
        ("Expected `str`, got `int` - at `$.commands[...].amount`", "invalid_amount"),
        ("Expected `str`, got `int` - at `$.paid.amount`", "invalid_amount"),
        ("Expected `str`, got `int` - at `$.amounts`", "invalid_request"),
        ("Object missing required field `amount`", "invalid_request"),
        ("Object missing required field `owner`", "invalid_request"),
    ],
)
def test_a_field_of_the_wrong_kind_is_told_by_its_path(message: str, code: str) -> None:
    assert problem_of(msgspec.ValidationError(message)).code == code


def test_a_problem_that_may_be_repeated_says_when() -> None:
    headers: list[tuple[bytes, bytes]] = problem_of(TimeoutError()).answer("r")._headers  # pyright: ignore[reportPrivateUsage]

    assert (b"retry-after", b"1") in headers
    assert (b"retry-after", b"1") not in problem_of(InvalidAmount("x", "y")).answer("r")._headers  # pyright: ignore[reportPrivateUsage]
