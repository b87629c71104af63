"""Signature Version 4 as a store checks it, in the header of a request or in the query of a presigned URL."""

import hmac
from datetime import UTC, datetime, timedelta
from email.message import Message
from hashlib import sha256
from urllib.parse import SplitResult, parse_qsl, quote

ACCESS_KEY = "AKIDFAKE"
SECRET_KEY = "secret of the fake"
REGION = "us-east-1"

SCHEME = "AWS4-HMAC-SHA256"
SKEW_S = 900
MUST_BE_SIGNED = ("host", "content-length", "content-type", "if-none-match")
"""A store checks what is signed; ours demands that presigned uploads sign what makes them exact."""


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


def check_signature(method: str, url: SplitResult, headers: Message, body: bytes) -> None:
    """Refuse a request that is not signed, or not for what it is."""
    query = parse_qsl(url.query, keep_blank_values=True)
    given = dict(query)
    if "X-Amz-Signature" in given:
        _check_presigned(method, url, headers, query)
        return
    scheme, _, rest = (headers.get("Authorization") or "").partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if scheme == SCHEME else {}
    if not parts or not parts["Credential"].startswith(f"{ACCESS_KEY}/"):
        raise Refusal(403, "InvalidAccessKeyId")
    digest = str(headers["x-amz-content-sha256"])
    if digest != sha256(body).hexdigest():
        raise Refusal(400, "XAmzContentSHA256Mismatch")
    when = str(headers["x-amz-date"])
    if abs(datetime.now(UTC) - _moment(when)).total_seconds() > SKEW_S:
        raise Refusal(403, "RequestTimeTooSkewed")
    signed = parts["SignedHeaders"].split(";")
    if not hmac.compare_digest(_signature(method, url.path, query, headers, signed, digest, when), parts["Signature"]):
        raise Refusal(403, "SignatureDoesNotMatch")


def _check_presigned(method: str, url: SplitResult, headers: Message, query: list[tuple[str, str]]) -> None:
    given = dict(query)
    if given.get("X-Amz-Algorithm") != SCHEME or not given["X-Amz-Credential"].startswith(f"{ACCESS_KEY}/"):
        raise Refusal(403, "InvalidAccessKeyId")
    when = given["X-Amz-Date"]
    if datetime.now(UTC) > _moment(when) + timedelta(seconds=int(given["X-Amz-Expires"])):
        raise Refusal(403, "AccessDenied")
    signed = given["X-Amz-SignedHeaders"].split(";")
    if method == "PUT" and not set(MUST_BE_SIGNED) <= set(signed):
        raise Refusal(403, "UnsignedHeaders")
    rest = [(name, value) for name, value in query if name != "X-Amz-Signature"]
    expected = _signature(method, url.path, rest, headers, signed, "UNSIGNED-PAYLOAD", when)
    if not hmac.compare_digest(expected, given["X-Amz-Signature"]):
        raise Refusal(403, "SignatureDoesNotMatch")


def _signature(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: Message,
    signed: list[str],
    digest: str,
    when: str,
) -> str:
    """Compute it as AWS describes how to."""
    encoded = sorted((quote(key, safe="-_.~"), quote(value, safe="-_.~")) for key, value in query)
    lines = [f"{name}:{' '.join((headers.get(name) or '').split())}" for name in signed]
    canonical_query = "&".join(f"{key}={value}" for key, value in encoded)
    request = "\n".join([method, path, canonical_query, *lines, "", ";".join(signed), digest])
    scope = f"{when[:8]}/{REGION}/s3/aws4_request"
    to_sign = f"{SCHEME}\n{when}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{SECRET_KEY}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), sha256)
    return hmac.digest(key, to_sign.encode(), sha256).hex()


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S%z")
