"""What OpenAI's image models can be told, in our words."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

MAX_PICTURES_IN = 16

MediaId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class ImageOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of mode `image`."""

    prompt: Annotated[str, Meta(max_length=32_000)] | None = None
    n: Annotated[int, Meta(ge=1, le=10)] = 1
    size: Annotated[str, Meta(pattern=r"^([1-9][0-9]{1,3}x[1-9][0-9]{1,3}|auto)\Z")] | None = None
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    moderation: Literal["auto", "low"] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] = 1
    """How often it says how far it is; each time costs a hundred tokens. Nothing for more than one picture."""


class EditOptions(ImageOptions, frozen=True, kw_only=True):
    """The parameters of mode `image-edit`."""

    image: MediaId
    references: Annotated[tuple[MediaId, ...], Meta(max_length=MAX_PICTURES_IN - 1)] = ()
    mask: MediaId | None = None
    input_fidelity: Literal["low", "high"] | None = None

    @property
    def pictures(self) -> tuple[str, ...]:
        """The media ids of the pictures that go in, the one to change first."""
        return (self.image, *self.references)

    @property
    def media_ids(self) -> tuple[str, ...]:
        """The media ids of all files that go in."""
        return self.pictures if self.mask is None else (*self.pictures, self.mask)
