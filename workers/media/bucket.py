"""Objects in a bucket of S3, R2 or another store that speaks its protocol; clients use it directly, by signed URLs.

boto3 blocks, so every call runs in a thread. A part is 8 MiB, all of one size as R2 wants it, and one at a time is held
in memory.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]  # it has no types
import structlog
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from workers.media.errors import StoreUnavailable
from workers.media.settings import MediaSettings
from workers.media.store import CHUNK_BYTES, ObjectMissing, SignedRequest, StoredObject, content_disposition

PART_BYTES: Final = 8 * 1024 * 1024
CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 30
ATTEMPTS: Final = 3
CONNECTIONS: Final = 32
UNFINISHED_LIFE: Final = timedelta(days=1)

_MISSING: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
"""A conflict is another write to the same key at the same moment: that one wins."""

Result = TypeVar("Result")

_log: Final = structlog.stdlib.get_logger(__name__)


class BucketStore:
    """One bucket, or a part of one under a prefix. Credentials are found as by every AWS tool (`AWS_...`, profiles)."""

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._opened: Any = None
        # Threads of its own: a bucket that stalls must not hold up whatever else the process does in threads.
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="media bucket")

    @property
    def is_reachable(self) -> bool:
        """Whether it is AWS, or some other place that has TLS."""
        endpoint = self._settings.endpoint_url
        return endpoint is None or endpoint.startswith("https://")

    async def presign_put(self, key: str, *, media_type: str, size_bytes: int, ttl_s: float) -> SignedRequest:
        """Sign an upload to the bucket."""
        parameters = {
            **self._place(key), "ContentType": media_type, "ContentLength": size_bytes, "IfNoneMatch": "*"
        }  # fmt: skip
        headers = {"Content-Type": media_type, "Content-Length": str(size_bytes), "If-None-Match": "*"}
        return await self._presign("put_object", parameters, "PUT", headers, ttl_s)

    async def presign_get(
        self, key: str, *, media_type: str, ttl_s: float, filename: str | None = None
    ) -> SignedRequest:
        """Sign a download from the bucket."""
        parameters = {
            **self._place(key),
            "ResponseContentType": media_type,
            "ResponseContentDisposition": content_disposition(media_type, filename),
        }
        return await self._presign("get_object", parameters, "GET", {}, ttl_s)

    async def head(self, key: str) -> StoredObject | None:
        """Ask the bucket for the size of an object."""
        try:
            found = await self.call(lambda client: client.head_object(**self._place(key)))
        except ObjectMissing:
            return None
        return StoredObject(size_bytes=found["ContentLength"])

    @contextlib.asynccontextmanager
    async def writing(self, key: str, *, media_type: str) -> AsyncGenerator["BucketWriter"]:
        """Send one request for what fits into a part, and a multipart upload for more."""
        writer = BucketWriter(self, {**self._place(key)}, media_type)
        try:
            yield writer
        finally:
            await writer.abort()

    async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """Read from the bucket. A range that begins after the end has nothing in it."""
        if length == 0:
            return
        last = "" if length is None else start + length - 1
        whole = start == 0 and length is None
        wanted = {} if whole else {"Range": f"bytes={start}-{last}"}
        try:
            answer = await self.call(lambda client: client.get_object(**self._place(key), **wanted))
        except _RangeAfterEnd:
            return
        body = answer["Body"]
        try:
            while piece := await self.call(lambda _: body.read(CHUNK_BYTES)):
                yield piece
        finally:
            body.close()

    async def delete(self, key: str) -> None:
        """Delete an object from the bucket."""
        with contextlib.suppress(ObjectMissing):
            await self.call(lambda client: client.delete_object(**self._place(key)))

    async def forget_unfinished(self) -> int:
        """Abort the multipart uploads that processes which died have left behind, a page of them at a time."""
        bucket, prefix = self._settings.bucket, self._settings.prefix
        page = await self.call(lambda client: client.list_multipart_uploads(Bucket=bucket, Prefix=prefix))
        before = datetime.now(UTC) - UNFINISHED_LIFE
        left_behind = [upload for upload in page.get("Uploads", ()) if upload["Initiated"] < before]
        for upload in left_behind:
            place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            with contextlib.suppress(ObjectMissing):
                await self.call(lambda client, place=place: client.abort_multipart_upload(**place))
        return len(left_behind)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._opened = self._opened, None
        if client is not None:
            await asyncio.to_thread(client.close)
        self._threads.shutdown(wait=False)

    async def call(self, work: Callable[[Any], Result]) -> Result:
        """Work with the client in a thread.

        Raises:
            ObjectMissing: there is no such object.
            StoreUnavailable: the bucket does not answer, or refuses.
        """
        client = await self._client()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, client)
        except ClientError as error:
            code = error_code(error)
            if code in _MISSING:
                raise ObjectMissing from None
            if code in {"InvalidRange", "416"}:
                raise _RangeAfterEnd from None
            if code in _TAKEN:
                raise KeyTaken from None
            raise StoreUnavailable(f"the media bucket refuses: {code}") from error
        except (BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"the media bucket cannot be reached: {type(error).__name__}") from error

    async def _presign(
        self, operation: str, parameters: dict[str, Any], method: str, headers: dict[str, str], ttl_s: float
    ) -> SignedRequest:
        expires_at_us = int((time.time() + ttl_s) * 1_000_000)
        url = await self.call(
            lambda client: client.generate_presigned_url(
                operation, Params=parameters, ExpiresIn=int(ttl_s), HttpMethod=method
            )
        )
        return SignedRequest(method=method, url=url, headers=headers, expires_at_us=expires_at_us)

    async def _client(self) -> Any:
        # Opened when it is first used: looking for credentials may ask the network.
        async with self._opening:
            if self._opened is None:
                self._opened = await asyncio.to_thread(self._open)
            return self._opened

    def _open(self) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=CONNECTIONS,
            signature_version="s3v4",
            # Names of buckets on stores other than AWS are rarely names of hosts.
            s3={"addressing_style": "path" if self._settings.endpoint_url else "auto"},
            # Stores other than AWS refuse the trailing checksums that are sent otherwise.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A session of our own: the shared one keeps the credentials it found first.
        make = cast("Callable[..., Any]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
        return make("s3", endpoint_url=self._settings.endpoint_url, region_name=self._settings.region, config=config)

    def _place(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._settings.bucket, "Key": f"{self._settings.prefix}{key}"}


class KeyTaken(Exception):
    """There is an object under this key already."""


class _RangeAfterEnd(Exception):
    pass


class BucketWriter:
    """An object that is being sent in parts."""

    def __init__(self, store: BucketStore, place: dict[str, Any], media_type: str) -> None:
        self._store = store
        self._place = place
        self._media_type = media_type
        self._waiting = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    async def write(self, data: bytes) -> None:
        """Take bytes, and send a part when there are enough."""
        self._waiting += data
        while len(self._waiting) > PART_BYTES:
            part = bytes(self._waiting[:PART_BYTES])
            del self._waiting[:PART_BYTES]
            await self._send(part)

    async def commit(self) -> bool:
        """Send the rest and have the bucket put it together, where nothing is yet."""
        rest, self._waiting = bytes(self._waiting), bytearray()
        try:
            if self._upload_id is None:
                await self._store.call(
                    lambda client: client.put_object(
                        **self._place, Body=rest, ContentType=self._media_type, IfNoneMatch="*"
                    )
                )
                return True
            await self._send(rest)
            await self._store.call(
                lambda client: client.complete_multipart_upload(
                    **self._place,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": self._parts},
                    IfNoneMatch="*",
                )
            )
        except (KeyTaken, ObjectMissing):
            # Taken by another or, where the answer to this very request was lost and it was sent again, by us.
            return False
        self._upload_id = None
        return True

    async def abort(self) -> None:
        """Have the bucket forget the parts of what was not committed."""
        upload_id, self._upload_id = self._upload_id, None
        if upload_id is None:
            return
        abort = self._store.call(lambda client: client.abort_multipart_upload(**self._place, UploadId=upload_id))
        try:
            await asyncio.shield(asyncio.ensure_future(abort))
        except (ObjectMissing, StoreUnavailable, KeyTaken) as error:
            # The bucket's own rule for unfinished uploads takes them away.
            _log.warning("multipart_upload_left", key=self._place["Key"], error=repr(error))

    async def _send(self, part: bytes) -> None:
        if self._upload_id is None:
            started = await self._store.call(
                lambda client: client.create_multipart_upload(**self._place, ContentType=self._media_type)
            )
            self._upload_id = started["UploadId"]
        number = len(self._parts) + 1
        sent = await self._store.call(
            lambda client: client.upload_part(**self._place, UploadId=self._upload_id, PartNumber=number, Body=part)
        )
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})


def error_code(error: ClientError) -> str:
    """Return what S3 calls an error."""
    response: Any = error.response  # pyright: ignore[reportUnknownMemberType]
    return str(response.get("Error", {}).get("Code", ""))
