"""What the edge itself refuses. `api.problems` gives each its HTTP status; `code` is public API."""

from typing import ClassVar


class ApiError(Exception):
    """Anything the edge refuses before, or instead of, asking the layers below."""

    code: ClassVar[str] = "api_error"


class Unauthenticated(ApiError):
    """No credential, or one that is unknown, malformed, expired or revoked; which of these is never said."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("a valid API key or token is needed: Authorization: Bearer <key>")


class Forbidden(ApiError):
    """The credential is good, but its role may not do this."""

    code = "forbidden"

    def __init__(self, role: str) -> None:
        super().__init__(f"the role {role} may not do this")
        self.role = role


class NotFound(ApiError):
    """There is no such thing, or it belongs to someone else."""

    code = "not_found"

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}")


class MalformedRequest(ApiError):
    """The request cannot be read: broken JSON, or a parameter that is not of its form."""

    code = "malformed_request"


class UnsupportedMediaType(ApiError):
    """The body is declared to be something other than JSON."""

    code = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("the body must be application/json")


class InvalidRequest(ApiError):
    """The JSON is well-formed, but a field is missing, unknown, of the wrong type or out of range."""

    code = "invalid_request"


class IdempotencyKeyRequired(ApiError):
    """A request that moves credits came without a key that makes it safe to repeat."""

    code = "idempotency_key_required"

    def __init__(self) -> None:
        super().__init__("this request moves credits, so it needs an Idempotency-Key header")


class InvalidIdempotencyKey(ApiError):
    """The key is empty, too long, has other than printable ASCII characters, or is one of ours."""

    code = "invalid_idempotency_key"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the idempotency key {reason}")


class RequestInProgress(ApiError):
    """The original request with this key has not been answered yet."""

    code = "request_in_progress"

    def __init__(self) -> None:
        super().__init__("the request with this idempotency key is still running; ask again in a moment")


class SecretNotReplayable(ApiError):
    """The recorded answer holds a secret that only the credential it was given to can read again."""

    code = "secret_not_replayable"

    def __init__(self) -> None:
        super().__init__("the answer held a secret and can be repeated only to the credential that received it")


class AmbiguousPoint(ApiError):
    """A balance was asked for as of a time and as of a seq at once."""

    code = "ambiguous_point"

    def __init__(self) -> None:
        super().__init__("give either at or seq, not both")


class InvalidSignature(ApiError):
    """A webhook was not signed by whom it is said to come from, or we cannot tell."""

    code = "invalid_signature"

    def __init__(self) -> None:
        super().__init__("the signature of the webhook is not valid")


class StaleWebhook(ApiError):
    """A webhook was signed too long ago, so it may be a replay, or its time is in the future."""

    code = "stale_webhook"

    def __init__(self) -> None:
        super().__init__("the webhook is too old, or its time is in the future")
