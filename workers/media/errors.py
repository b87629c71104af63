"""What callers are told when something about media is refused. `code` is public API; the message is for people."""

from typing import ClassVar
from uuid import UUID


class MediaError(Exception):
    """Anything about media that a caller is told; `code` is public API."""

    code: ClassVar[str] = "media_error"


class MediaNotFound(MediaError):
    """No media object has this id, or it belongs to someone else, or it was deleted."""

    code = "media_not_found"

    def __init__(self, media_id: UUID | str) -> None:
        super().__init__(f"no media object {media_id}")
        self.media_id = media_id


class MediaNotStored(MediaError):
    """The media object is known, but its bytes are not here: the upload is not confirmed, or the transfer not done."""

    code = "media_not_stored"

    def __init__(self, media_id: UUID, *, state: str) -> None:
        super().__init__(f"media object {media_id} is not stored yet, or not any more")
        self.media_id = media_id
        self.status = state


class MediaTypeNotAllowed(MediaError):
    """Files of this type are not kept here."""

    code = "media_type_not_allowed"

    def __init__(self, media_type: str) -> None:
        super().__init__(f"files of type {media_type[:100]!r} are not kept here")


class MediaTooLarge(MediaError):
    """The file is larger than one of its kind may be."""

    code = "media_too_large"

    def __init__(self, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the file has {size_bytes} bytes; one of its kind may have {limit_bytes}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class UploadMissing(MediaError):
    """An upload or a transfer was confirmed before its bytes had arrived."""

    code = "upload_missing"

    def __init__(self, media_id: UUID) -> None:
        super().__init__("nothing has been uploaded yet; send the bytes to the signed URL first")
        self.media_id = media_id


class UploadMismatch(MediaError):
    """The bytes that arrived are not what was announced; they were deleted."""

    code = "upload_mismatch"

    def __init__(self, reason: str) -> None:
        super().__init__(f"what was uploaded is not what was announced: {reason}")


class TransferNotOffered(MediaError):
    """The result is not, or no longer, one that its owner may transfer: it is stored, or could not be kept."""

    code = "transfer_not_offered"

    def __init__(self, media_id: UUID, *, state: str) -> None:
        super().__init__(
            f"media object {media_id} is {state}; a result can be transferred for a short time, while it is offered"
        )
        self.media_id = media_id
        self.status = state


class UrlNotValid(MediaError):
    """A media URL has a wrong signature, or its time is over; which of these is never said."""

    code = "url_not_valid"

    def __init__(self) -> None:
        super().__init__("this URL was not signed here, was changed, or has expired; ask for a new one")


class ObjectExists(MediaError):
    """Bytes were sent to a place that has some already. Nothing was changed."""

    code = "object_exists"

    def __init__(self) -> None:
        super().__init__("this place has its bytes already; they are never overwritten")


class RangeNotSatisfiable(MediaError):
    """A range was asked for that begins after the end of the file."""

    code = "range_not_satisfiable"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the file has only {size_bytes} bytes")
        self.size_bytes = size_bytes


class StoreUnavailable(MediaError):
    """The store does not answer, is full, or none is set up. Nothing is known to be written; it may be tried again."""

    code = "media_store_unavailable"
