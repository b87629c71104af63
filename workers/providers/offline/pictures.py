"""Modes `image` and `image-edit`: posters of the prompt, and pictures that were visibly changed."""

import io
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from workers.providers.interface import InputFile, MediaResult, Progress, ProviderRequest
from workers.providers.offline.craft import Craft, Rendering, bytes_of, file_of, needs_prompt, prompt_of
from workers.providers.offline.drawing import Palette, digest_of, letter, paint_ground, palette_of
from workers.providers.offline.options import (
    MAX_SIDE,
    MIN_SIDE,
    ImageEditOptions,
    ImageOptions,
    options_of,
    picture_size,
    rejected,
)

MAX_INPUT_PIXELS: Final = 25_000_000
"""A file of some kilobytes can claim to be a picture of gigabytes. This is a photograph of a large camera."""

INPUT_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")

_STEPS: Final = 3


def _check_image(request: ProviderRequest) -> None:
    needs_prompt(request)
    picture_size(options_of(request, ImageOptions).size)


def _render_image(request: ProviderRequest) -> Rendering:
    """Draw `n` pictures, each with a seed of its own, so that no two are the same."""
    options = options_of(request, ImageOptions)
    prompt = prompt_of(request)
    size = picture_size(options.size)
    for number in range(options.n):
        name = f"picture {number + 1} of {options.n}"
        yield _progress(number, 0, options.n, f"Painting {name}")
        picture = paint_ground(size, digest_of(prompt, options.seed + number))
        yield _progress(number, 1, options.n, f"Lettering {name}")
        letter(picture, prompt, top=0.62, bottom=0.94)
        yield _progress(number, 2, options.n, f"Saving {name}")
        yield _as_result(picture, options.output_format)


def _check_image_edit(request: ProviderRequest) -> None:
    needs_prompt(request)
    options = options_of(request, ImageEditOptions)
    if options.size is not None:
        picture_size(options.size)
    for media_id in _edited(options):
        check_picture(file_of(request, "image", media_id))


def _render_image_edit(request: ProviderRequest) -> Rendering:
    """Change the picture `n` times, each time in another way, and write below what was asked for."""
    options = options_of(request, ImageEditOptions)
    prompt = prompt_of(request)
    digest = digest_of(prompt, options.seed)
    yield _progress(0, 0, options.n, "Reading the picture")
    original = _fitted(open_picture(bytes_of(file_of(request, "image", options.image))), options.size)
    kept = _kept_part(request, options, original.size)
    for number in range(options.n):
        name = f"picture {number + 1} of {options.n}"
        yield _progress(number, 1, options.n, f"Changing {name}")
        change = _CHANGES[(digest[31] + number) % len(_CHANGES)]
        picture = Image.blend(original, change(original, palette_of(digest)), options.strength)
        picture.paste(original, mask=kept)
        yield _progress(number, 2, options.n, f"Lettering {name}")
        letter(picture, prompt, top=0.82, bottom=0.98)
        yield _as_result(picture, options.output_format)


def check_picture(file: InputFile) -> None:
    """Refuse a picture that is known to be too large, before it is fetched.

    Raises:
        RequestRejected: it has more than `MAX_INPUT_PIXELS`.
    """
    if (file.width or 0) * (file.height or 0) > MAX_INPUT_PIXELS:
        raise rejected(f"the picture has more than {MAX_INPUT_PIXELS} pixels")


def open_picture(content: bytes) -> Image.Image:
    """Decode a picture as three colours on white, see `_open`."""
    clear = _open(content)
    ground = Image.new("RGB", clear.size, (255, 255, 255))
    ground.paste(clear, mask=clear.getchannel("A"))
    return ground


def _open(content: bytes) -> Image.Image:
    """Decode a picture with its transparency, upright, no side above `MAX_SIDE`; of a moving one the first frame.

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
            return upright.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise rejected(f"the picture cannot be read: {error}") from error


def _edited(options: ImageEditOptions) -> tuple[str, ...]:
    return (options.image,) if options.mask is None else (options.image, options.mask)


def _kept_part(request: ProviderRequest, options: ImageEditOptions, size: tuple[int, int]) -> Image.Image:
    """Return what of the original stays: where the mask is opaque, and nothing without one."""
    if options.mask is None:
        return Image.new("L", size, 0)
    return ImageOps.fit(_open(bytes_of(file_of(request, "image", options.mask))).getchannel("A"), size)


def _as_result(picture: Image.Image, output_format: str) -> MediaResult:
    buffer = io.BytesIO()
    picture.save(buffer, output_format.upper())
    return MediaResult(
        kind="image",
        media_type=f"image/{output_format}",
        content=buffer.getvalue(),
        width=picture.width,
        height=picture.height,
    )


def _fitted(picture: Image.Image, size: str | None) -> Image.Image:
    if size is not None:
        return ImageOps.fit(picture, picture_size(size))
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
