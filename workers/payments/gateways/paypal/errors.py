"""What an answer of PayPal that is not a success means for us."""

from workers.payments.gateway import GatewayError, UnknownObject
from workers.payments.gateways.paypal.wire import NAME, Problem


class Refusal(GatewayError):
    """PayPal understood a request and will not do it."""

    def __init__(self, message: str, *, status: int, problem: Problem) -> None:
        # Wrong credentials are put right by whoever runs this, and then the same request succeeds.
        super().__init__(NAME, message, retryable=status == 401)
        self.status = status
        self.problem_name = problem.name
        self.issues = problem.issues
        self.words = [words for detail in problem.details for words in (detail.issue, detail.description)]


def error_of(method: str, path: str, status: int, problem: Problem) -> GatewayError:
    """Return what to raise for an answer. The message holds PayPal's codes, nothing that was sent."""
    codes = ", ".join(sorted(code for code in problem.issues if code.isprintable()))[:200]
    named = " ".join(part for part in (problem.name or problem.error, codes) if part)[:300]
    message = f"{method} {path}: {status} {named} (debug id {problem.debug_id[:40] or 'none'})"
    if status == 404:
        return UnknownObject(NAME, message)
    if status == 429:
        return GatewayError(NAME, message, retryable=True)
    if status == 409 or status >= 500:
        # 409: the same request is being done just now. 5xx may come after it has been done.
        return GatewayError(NAME, message, retryable=True, ambiguous=method != "GET")
    return Refusal(message, status=status, problem=problem)
