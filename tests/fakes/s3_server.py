"""A small S3 on a real socket: path-style objects in one bucket, signatures checked, objects locked until their time.

It refuses what S3 and R2 refuse: a wrong or expired signature, also of a presigned URL, a wrong checksum, a lock
without a checksum, overwriting what is there under `If-None-Match: *`, parts too small or not of one size. After the
references of S3 (PutObject, GetObject, ListObjectsV2, multipart uploads) and of Signature Version 4.
"""

import base64
import contextlib
import re
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.fakes.s3_signatures import ACCESS_KEY, REGION, SECRET_KEY, Refusal, check_signature

__all__ = ["ACCESS_KEY", "REGION", "SECRET_KEY", "Bucket", "s3_server"]

PAGE = 2
"""Keys per page of a list: small, so that several pages are read."""

LEAST_PART_BYTES = 5 * 1024 * 1024


@dataclass
class Upload:
    """A multipart upload that is not complete."""

    key: str
    media_type: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])


class Bucket:
    """The one bucket, and what happened to it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.media_types: dict[str, str] = {}
        self.locks: dict[str, datetime] = {}
        self.uploads: dict[str, Upload] = {}
        self.requests: list[str] = []
        """Method and query names of each request, such as `PUT partNumber uploadId`."""
        self.down = False
        self.url = ""
        self.name = "audit"
        self.lock = threading.RLock()


@dataclass
class _Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are sent one after the other, and the body would wait for 40 ms.
    disable_nagle_algorithm = True
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - it overrides
        """Say nothing."""

    def do_PUT(self) -> None:
        self._answering(self._put_part if "partNumber" in self._query else self._put)

    def do_GET(self) -> None:
        if not self._key_of_path:
            self._answering(self._list_uploads if "uploads" in self._query else self._list)
        else:
            self._answering(self._get)

    def do_HEAD(self) -> None:
        self._answering(self._head)

    def do_POST(self) -> None:
        self._answering(self._complete if "uploadId" in self._query else self._start)

    def do_DELETE(self) -> None:
        self._answering(self._abort if "uploadId" in self._query else self._delete)

    def _answering(self, work: Callable[[bytes], _Answer]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        names = [name for name in sorted(self._query) if not name.startswith("X-Amz-")]
        try:
            self._check(body)
            with self.bucket.lock:
                self.bucket.requests.append(" ".join([self.command, *names]))
                answer = work(body)
        except Refusal as refusal:
            answer = _Answer(f"<Error><Code>{refusal.code}</Code></Error>".encode(), refusal.status)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _check(self, body: bytes) -> None:
        if self.bucket.down:
            raise Refusal(503, "SlowDown")
        check_signature(self.command, urlsplit(self.path), self.headers, body)

    @property
    def _query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))

    @property
    def _key_of_path(self) -> str:
        return unquote((*urlsplit(self.path).path.split("/", 2), "")[2])

    @property
    def _key(self) -> str:
        if urlsplit(self.path).path.split("/")[1] != self.bucket.name:
            raise Refusal(404, "NoSuchBucket")
        return self._key_of_path

    def _put(self, body: bytes) -> _Answer:
        checksum = self.headers.get("x-amz-checksum-sha256")
        until = self.headers.get("x-amz-object-lock-retain-until-date")
        if until and not checksum:
            raise Refusal(400, "InvalidRequest")
        if checksum and base64.b64decode(checksum) != sha256(body).digest():
            raise Refusal(400, "BadDigest")
        self._place(self._key, body, self.headers.get("Content-Type", ""))
        if until and self.headers.get("x-amz-object-lock-mode") == "COMPLIANCE":
            self.bucket.locks[self._key] = datetime.fromisoformat(until)
        return _Answer()

    def _place(self, key: str, content: bytes, media_type: str) -> None:
        if self.headers.get("If-None-Match") == "*" and key in self.bucket.objects:
            raise Refusal(412, "PreconditionFailed")
        self.bucket.objects[key] = content
        self.bucket.media_types[key] = media_type

    def _head(self, body: bytes) -> _Answer:
        content = self._content()
        return _Answer(headers={"Content-Length": str(len(content)), "ETag": _etag(content)})

    def _get(self, body: bytes) -> _Answer:
        content, query = self._content(), self._query
        headers = {"Content-Type": query.get("response-content-type", self.bucket.media_types.get(self._key, ""))}
        if "response-content-disposition" in query:
            headers["Content-Disposition"] = query["response-content-disposition"]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            return _Answer(content, headers=headers)
        if int(wanted[1]) >= len(content):
            raise Refusal(416, "InvalidRange")
        return _Answer(content[int(wanted[1]) : int(wanted[2]) + 1 if wanted[2] else None], 206, headers)

    def _content(self) -> bytes:
        try:
            return self.bucket.objects[self._key]
        except KeyError:
            raise Refusal(404, "NoSuchKey") from None

    def _delete(self, body: bytes) -> _Answer:
        if self._key in self.bucket.locks:
            raise Refusal(403, "AccessDenied")
        self.bucket.objects.pop(self._key, None)
        return _Answer(status=204)

    def _list(self, body: bytes) -> _Answer:
        query = self._query
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        prefix = query.get("prefix", "")
        found = sorted(key for key in self.bucket.objects if key > after and key.startswith(prefix))
        page = found[:PAGE]
        more = len(found) > PAGE
        contents = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        truncated = str(more).lower()
        return _Answer(
            f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{contents}</ListBucketResult>".encode()
        )

    def _start(self, body: bytes) -> _Answer:
        upload_id = f"upload-{len(self.bucket.requests)}"
        self.bucket.uploads[upload_id] = Upload(self._key, self.headers.get("Content-Type", ""))
        return _Answer(
            f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>".encode()
        )

    @property
    def _upload(self) -> Upload:
        found = self.bucket.uploads.get(self._query["uploadId"])
        if found is None or found.key != self._key:
            raise Refusal(404, "NoSuchUpload")
        return found

    def _put_part(self, body: bytes) -> _Answer:
        self._upload.parts[int(self._query["partNumber"])] = body
        return _Answer(headers={"ETag": _etag(body)})

    def _complete(self, body: bytes) -> _Answer:
        upload = self._upload
        text = body.decode()
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", text)]
        etags = [tag.replace("&quot;", '"') for tag in re.findall(r"<ETag>(.*?)</ETag>", text)]
        parts = [upload.parts[number] for number in numbers]
        if not parts or numbers != sorted(numbers) or etags != [_etag(part) for part in parts]:
            raise Refusal(400, "InvalidPart")
        if any(len(part) < LEAST_PART_BYTES for part in parts[:-1]):
            raise Refusal(400, "EntityTooSmall")
        if len({len(part) for part in parts[:-1]}) > 1 or len(parts[-1]) > len(parts[0]):
            raise Refusal(400, "InvalidPart")
        self._place(upload.key, b"".join(parts), upload.media_type)
        del self.bucket.uploads[self._query["uploadId"]]
        return _Answer(b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")

    def _abort(self, body: bytes) -> _Answer:
        assert self._upload
        del self.bucket.uploads[self._query["uploadId"]]
        return _Answer(status=204)

    def _list_uploads(self, body: bytes) -> _Answer:
        prefix = self._query.get("prefix", "")
        found = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{upload.started_at.isoformat()}</Initiated></Upload>"
            for upload_id, upload in self.bucket.uploads.items()
            if upload.key.startswith(prefix)
        )
        return _Answer(f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>".encode())


def _etag(content: bytes) -> str:
    return f'"{md5(content).hexdigest()}"'


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
