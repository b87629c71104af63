"""Checkpoints as objects under a lock in an S3 bucket: until their time is over nobody can change or delete them."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]  # it has no types
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from ledger.checkpoints import SignedCheckpoint
from workers.checkpoints.bucket_settings import BucketSettings
from workers.checkpoints.place import PlaceUnreachable

INTERVAL_S: Final = 300.0
TIMEOUT_S: Final = 10
ATTEMPTS: Final = 2

Found = TypeVar("Found")


class BucketPlace:
    """One object per checkpoint, named by the size of the log, so that their order is that of the log."""

    def __init__(self, settings: BucketSettings) -> None:
        self.name = f"s3://{settings.bucket}/{settings.prefix}"
        self.interval_s = INTERVAL_S
        self._settings = settings
        self._last_key = ""
        self._opened: list[Any] = []

    async def latest(self) -> str | None:
        """Return the note of the largest log. The first time, this lists all there are."""
        return await self._calling(self._read_latest)

    async def put(self, checkpoint: SignedCheckpoint) -> None:
        """Write an object that is locked from its first moment, unless there is one of this name."""
        await self._calling(lambda: self._write(checkpoint))

    async def _calling(self, function: Callable[[], Found]) -> Found:
        try:
            return await asyncio.to_thread(function)
        except (BotoCoreError, ClientError) as error:
            raise PlaceUnreachable(str(error)) from error

    @property
    def _client(self) -> Any:
        # Opened when it is first used: looking for credentials may ask the network.
        if not self._opened:
            config = Config(
                connect_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                # Stores other than AWS refuse the trailing checksums that are sent otherwise.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            # A session of our own: the shared one keeps the credentials it found first.
            make = cast("Callable[..., Any]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
            self._opened.append(make("s3", endpoint_url=self._settings.endpoint_url, config=config))
        return self._opened[0]

    def _read_latest(self) -> str | None:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._settings.bucket, Prefix=self._settings.prefix, StartAfter=self._last_key
        )
        for page in pages:
            for found in page.get("Contents", ()):
                self._last_key = max(self._last_key, found["Key"])
        if not self._last_key:
            return None
        answer = self._client.get_object(Bucket=self._settings.bucket, Key=self._last_key)
        return answer["Body"].read().decode("utf-8")

    def _write(self, checkpoint: SignedCheckpoint) -> None:
        body = checkpoint.note.encode()
        try:
            self._client.put_object(
                Bucket=self._settings.bucket,
                Key=f"{self._settings.prefix}{checkpoint.size:020d}",
                Body=body,
                ContentType="text/plain; charset=utf-8",
                # A locked object needs a checksum; in a header every store takes it.
                ChecksumSHA256=base64.b64encode(sha256(body).digest()).decode("ascii"),
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=self._settings.retention_days),
            )
        except ClientError as error:
            # Whether what is there already is ours shows when it is read before the next is written.
            response: Any = error.response  # pyright: ignore[reportUnknownMemberType]
            if response["Error"]["Code"] != "PreconditionFailed":
                raise
