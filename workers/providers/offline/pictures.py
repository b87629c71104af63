"""Modes `image` and `image-edit`: posters of the prompt, and pictures that were visibly changed."""

import io
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from workers.providers.interface import MediaResult, Progress, ProviderRequest
from workers.providers.offline.craft import Craft, Rendering, bytes_of, file_of, needs_prompt, prompt_of
from workers.providers.offline.drawing import Palette, digest_of, letter, paint_ground, palette_of
from workers.providers.offline.options import (
    MAX_SIDE,
    MIN_SIDE,
    ImageEditOptions,
    ImageOptions,
    options_of,
    rejected,
    size_within,
)

MAX_INPUT_PIXELS: Final = 25_000_000
"""A file of some kilobytes can claim to be a picture of gigabytes. This is a photograph of a large camera."""

INPUT_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")

_STEPS: Final = 3


def _check_image(request: ProviderRequest) -> None:
    needs_prompt(request)
    size_within(options_of(request, ImageOptions).size, longest_side=MAX_SIDE)


def _render_image(request: ProviderRequest) -> Rendering:
    """Draw `n` pictures, each with a seed of its own, so that no two are the same."""
    options = options_of(request, ImageOptions)
    prompt = prompt_of(request)
    size = size_within(options.size, longest_side=MAX_SIDE)
    for number in range(options.n):
        name = f"picture {number + 1} of {options.n}"
        yield _progress(number, 0, options.n, f"Painting {name}")
        picture = paint_ground(size, digest_of(prompt, options.seed + number))
        yield _progress(number, 1, options.n, f"Lettering {name}")
        letter(picture, prompt, top=0.62, bottom=0.94)
        yield _progress(number, 2, options.n, f"Saving {name}")
        yield as_png(picture)


def _check_image_edit(request: ProviderRequest) -> None:
    needs_prompt(request)
    options = options_of(request, ImageEditOptions)
    if options.size is not None:
        size_within(options.size, longest_side=MAX_SIDE)
    file = file_of(request, "image", options.image)
    if file is None:
        raise rejected("a picture to edit is needed")
    if file.width is not None and file.height is not None and file.width * file.height > MAX_INPUT_PIXELS:
        raise rejected(f"the picture has more than {MAX_INPUT_PIXELS} pixels")


def _render_image_edit(request: ProviderRequest) -> Rendering:
    """Change the picture `n` times, each time in another way, and write below what was asked for."""
    options = options_of(request, ImageEditOptions)
    prompt = prompt_of(request)
    file = file_of(request, "image", options.image)
    assert file is not None
    digest = digest_of(prompt, options.seed)
    for number in range(options.n):
        name = f"picture {number + 1} of {options.n}"
        yield _progress(number, 0, options.n, f"Reading {name}")
        picture = open_picture(bytes_of(file))
        picture = _fitted(picture, options.size)
        yield _progress(number, 1, options.n, f"Changing {name}")
        change = _CHANGES[(digest[31] + number) % len(_CHANGES)]
        picture = change(picture, palette_of(digest))
        yield _progress(number, 2, options.n, f"Lettering {name}")
        letter(picture, prompt, top=0.82, bottom=0.98)
        yield as_png(picture)


def open_picture(content: bytes) -> Image.Image:
    """Decode a picture as three colours, upright, at most `MAX_SIDE` wide and high; of a moving one the first frame.

    Raises:
        RequestRejected: it is of no format we read, broken, or too large.
    """
    try:
        with Image.open(io.BytesIO(content), formats=INPUT_FORMATS) as opened:
            if opened.width * opened.height > MAX_INPUT_PIXELS:
                raise rejected(f"the picture has more than {MAX_INPUT_PIXELS} pixels")
            # A JPEG can be decoded at a fraction of its size, which a large photograph should be.
            opened.draft("RGB", (MAX_SIDE, MAX_SIDE))
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((MAX_SIDE, MAX_SIDE))
            ground = Image.new("RGB", upright.size, (255, 255, 255))
            clear = upright.convert("RGBA")
            ground.paste(clear, mask=clear.getchannel("A"))
            return ground
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise rejected(f"the picture cannot be read: {error}") from error


def as_png(picture: Image.Image) -> MediaResult:
    """Return the picture as a result."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return MediaResult(
        kind="image",
        media_type="image/png",
        content=buffer.getvalue(),
        width=picture.width,
        height=picture.height,
    )


def _fitted(picture: Image.Image, size: str | None) -> Image.Image:
    if size is not None:
        return ImageOps.fit(picture, size_within(size, longest_side=MAX_SIDE))
    if min(picture.size) >= MIN_SIDE:
        return picture
    return ImageOps.fit(picture, (max(MIN_SIDE, picture.width), max(MIN_SIDE, picture.height)))


def _as_duotone(picture: Image.Image, palette: Palette) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(picture), palette.dark, palette.light, mid=palette.shapes[0])


def _as_poster(picture: Image.Image, palette: Palette) -> Image.Image:
    flat = ImageOps.posterize(picture, 2)
    return Image.blend(flat, Image.new("RGB", flat.size, palette.shapes[1]), 0.2)


def _as_mirror(picture: Image.Image, palette: Palette) -> Image.Image:
    mirrored = ImageOps.mirror(picture)
    return Image.blend(mirrored, Image.new("RGB", mirrored.size, palette.shapes[2]), 0.25)


def _as_drawing(picture: Image.Image, palette: Palette) -> Image.Image:
    lines = ImageOps.grayscale(picture).filter(ImageFilter.CONTOUR)
    return ImageOps.colorize(lines, palette.dark, (250, 248, 240))


_CHANGES: Final[tuple[Callable[[Image.Image, Palette], Image.Image], ...]] = (
    _as_duotone,
    _as_poster,
    _as_mirror,
    _as_drawing,
)


def _progress(number: int, step: int, of_pictures: int, message: str) -> Progress:
    return Progress(percent=100 * (number * _STEPS + step) // (of_pictures * _STEPS), message=message)


IMAGE: Final = Craft(_check_image, _render_image)
IMAGE_EDIT: Final = Craft(_check_image_edit, _render_image_edit)
