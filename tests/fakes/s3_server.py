"""A small S3 on a real socket: path-style objects in one bucket, signatures checked, objects locked until their time.

It refuses what S3 refuses: a wrong signature, a wrong checksum, a lock without a checksum, overwriting what is there
under `If-None-Match: *`. After the references of S3 (PutObject, GetObject, ListObjectsV2) and of Signature Version 4.
"""

import base64
import contextlib
import hmac
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

ACCESS_KEY = "AKIDFAKE"
SECRET_KEY = "secret of the fake"
REGION = "us-east-1"
PAGE = 2
"""Keys per page of a list: small, so that several pages are read."""


class Bucket:
    """The one bucket, and what happened to it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.locks: dict[str, datetime] = {}
        self.down = False
        self.url = ""
        self.name = "audit"


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - it overrides
        """Say nothing."""

    def do_PUT(self) -> None:
        self._answering(self._put)

    def do_GET(self) -> None:
        self._answering(self._get)

    def _answering(self, work: Any) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._check_signature(body)
            answer = work(body)
            status = 200
        except Refusal as refusal:
            status, answer = refusal.status, f"<Error><Code>{refusal.code}</Code></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @property
    def _key(self) -> str:
        _, bucket, key = (*urlsplit(self.path).path.split("/", 2), "")[:3]
        if bucket != self.bucket.name:
            raise Refusal(404, "NoSuchBucket")
        return key

    def _put(self, body: bytes) -> bytes:
        checksum = self.headers.get("x-amz-checksum-sha256")
        until = self.headers.get("x-amz-object-lock-retain-until-date")
        if until and not checksum:
            raise Refusal(400, "InvalidRequest")
        if checksum and base64.b64decode(checksum) != sha256(body).digest():
            raise Refusal(400, "BadDigest")
        if self.headers.get("If-None-Match") == "*" and self._key in self.bucket.objects:
            raise Refusal(412, "PreconditionFailed")
        self.bucket.objects[self._key] = body
        if until and self.headers.get("x-amz-object-lock-mode") == "COMPLIANCE":
            self.bucket.locks[self._key] = datetime.fromisoformat(until)
        return b""

    def _get(self, body: bytes) -> bytes:
        if self._key:
            try:
                return self.bucket.objects[self._key]
            except KeyError:
                raise Refusal(404, "NoSuchKey") from None
        query = dict(parse_qsl(urlsplit(self.path).query))
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        prefix = query.get("prefix", "")
        found = sorted(key for key in self.bucket.objects if key > after and key.startswith(prefix))
        page = found[:PAGE]
        more = len(found) > PAGE
        contents = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        truncated = str(more).lower()
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{contents}</ListBucketResult>".encode()

    def _check_signature(self, body: bytes) -> None:
        """Signature Version 4, as AWS describes how to compute it."""
        if self.bucket.down:
            raise Refusal(503, "SlowDown")
        scheme, _, rest = self.headers.get("Authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if scheme == "AWS4-HMAC-SHA256" else {}
        if not parts or not parts["Credential"].startswith(f"{ACCESS_KEY}/"):
            raise Refusal(403, "InvalidAccessKeyId")
        if self.headers["x-amz-content-sha256"] != sha256(body).hexdigest():
            raise Refusal(400, "XAmzContentSHA256Mismatch")
        url = urlsplit(self.path)
        query = sorted((quote(key, safe="-_.~"), quote(value, safe="-_.~")) for key, value in _pairs(url.query))
        signed = parts["SignedHeaders"].split(";")
        request = "\n".join(
            [
                self.command,
                url.path,
                "&".join(f"{key}={value}" for key, value in query),
                *[f"{name}:{' '.join(self.headers[name].split())}" for name in signed],
                "",
                parts["SignedHeaders"],
                self.headers["x-amz-content-sha256"],
            ]
        )
        when = self.headers["x-amz-date"]
        if abs(datetime.now(UTC) - datetime.strptime(when, "%Y%m%dT%H%M%S%z")).total_seconds() > 900:
            raise Refusal(403, "RequestTimeTooSkewed")
        scope = f"{when[:8]}/{REGION}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        key = f"AWS4{SECRET_KEY}".encode()
        for step in scope.split("/"):
            key = hmac.digest(key, step.encode(), sha256)
        if not hmac.compare_digest(hmac.digest(key, to_sign.encode(), sha256).hex(), parts["Signature"]):
            raise Refusal(403, "SignatureDoesNotMatch")


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


@contextlib.contextmanager
def s3_server() -> Generator[Bucket]:
    """Run it on any free port of the loopback."""
    bucket = Bucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
