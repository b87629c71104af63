"""What the environment says of the bucket for checkpoints."""

from collections.abc import Mapping
from typing import Final

import msgspec

from workers.settings import SettingsError

DEFAULT_PREFIX: Final = "holdfast/checkpoints/"
DEFAULT_RETENTION_DAYS: Final = 3_650
MAX_RETENTION_DAYS: Final = 36_500


class BucketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which bucket, and for how long. Region and credentials are found as by every AWS tool (`AWS_...`, profiles)."""

    bucket: str
    prefix: str = DEFAULT_PREFIX
    endpoint_url: str | None = None
    """Of a store that is not AWS."""
    retention_days: int = DEFAULT_RETENTION_DAYS

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "BucketSettings | None":
        """Read `HOLDFAST_CHECKPOINT_S3_...`; nothing if no bucket is named.

        Raises:
            SettingsError: the retention is no number of days.
        """
        bucket = environment.get("HOLDFAST_CHECKPOINT_S3_BUCKET", "").strip()
        if not bucket:
            return None
        days = environment.get("HOLDFAST_CHECKPOINT_S3_RETENTION_DAYS", "").strip() or str(DEFAULT_RETENTION_DAYS)
        if not days.isascii() or not days.isdigit() or not 1 <= int(days) <= MAX_RETENTION_DAYS:
            raise SettingsError(f"HOLDFAST_CHECKPOINT_S3_RETENTION_DAYS must be from 1 to {MAX_RETENTION_DAYS}")
        return cls(
            bucket=bucket,
            prefix=environment.get("HOLDFAST_CHECKPOINT_S3_PREFIX", DEFAULT_PREFIX),
            endpoint_url=environment.get("HOLDFAST_CHECKPOINT_S3_ENDPOINT", "").strip() or None,
            retention_days=int(days),
        )
