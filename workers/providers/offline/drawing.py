"""Pictures made of nothing but a text and a number: colours, shapes and lettering. The same input, the same pixels."""

import colorsys
import hashlib
from typing import Final, TypeAlias

from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont, ImageOps

Colour: TypeAlias = tuple[int, int, int]
Size: TypeAlias = tuple[int, int]

MAX_LETTERS: Final = 240
SHAPES: Final = 6
SMALLEST_LETTERS: Final = 9
_GRADIENT_TURNS: Final = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_TOP_BOTTOM,
)


class Palette(Struct, frozen=True):
    """The colours of one picture."""

    dark: Colour
    light: Colour
    shapes: tuple[Colour, ...]


def digest_of(prompt: str, seed: int) -> bytes:
    """Return the 32 bytes that everything about a picture, film or song is derived from."""
    return hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()


def palette_of(digest: bytes) -> Palette:
    """Choose colours that go together: one hue, its neighbours, and one across from it."""
    hue = digest[0] / 256
    shapes = tuple(
        _colour(hue + offset, 0.55 + digest[1] / 1024, 0.75 + digest[2] / 1024) for offset in (0.08, 0.16, 0.5)
    )
    return Palette(_colour(hue, 0.75, 0.28), _colour(hue + 0.06, 0.45, 0.82), shapes)


def paint_ground(size: Size, digest: bytes) -> Image.Image:
    """Paint the picture without its text: a gradient, and shapes that sit where the digest says."""
    palette = palette_of(digest)
    gradient = Image.linear_gradient("L").transpose(_GRADIENT_TURNS[digest[3] % len(_GRADIENT_TURNS)])
    # Coloured while it is small: to colour every pixel of the result would take many times as long.
    coloured = ImageOps.colorize(gradient, palette.dark, palette.light)
    picture = ImageOps.fit(coloured, size)
    draw = ImageDraw.Draw(picture)
    for at in range(SHAPES):
        x, y, extent = digest[4 + 3 * at : 7 + 3 * at]
        draw_shape(draw, size, at=(x / 255, y / 255), extent=0.05 + extent / 1500, palette=palette, number=at)
    return picture


def draw_shape(
    draw: ImageDraw.ImageDraw,
    size: Size,
    *,
    at: tuple[float, float],
    extent: float,
    palette: Palette,
    number: int,
) -> None:
    """Draw a disc or a square around a place, both as parts of the picture."""
    radius = extent * min(size)
    x, y = at[0] * size[0], at[1] * size[1]
    box = (x - radius, y - radius, x + radius, y + radius)
    colour = palette.shapes[number % len(palette.shapes)]
    if number % 2:
        draw.rectangle(box, fill=colour)
    else:
        draw.ellipse(box, fill=colour)


def letter(picture: Image.Image, text: str, *, top: float, bottom: float) -> None:
    """Write a text into a band of the picture, on a dark ground, as large as it fits.

    `top` and `bottom` are parts of the height. What does not fit even in the smallest letters is left out.
    """
    width, height = picture.size
    margin = max(4, width // 24)
    box = (margin, round(top * height), width - margin, round(bottom * height))
    inner = (box[2] - box[0] - margin, box[3] - box[1] - margin // 2)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(box, fill=(16, 18, 24))
    size = max(SMALLEST_LETTERS, inner[1] // 2)
    words = _shortened(text).split(" ")
    lines, font = _wrapped(words, inner[0], size)
    while size > SMALLEST_LETTERS and not _fits(lines, font, inner):
        size = max(SMALLEST_LETTERS, size * 4 // 5)
        lines, font = _wrapped(words, inner[0], size)
    step = size * 5 // 4
    shown = lines[: max(1, inner[1] // step)]
    y = box[1] + (box[3] - box[1] - step * len(shown)) // 2
    for at, line in enumerate(shown):
        draw.text((box[0] + margin // 2, y + at * step), line, font=font, fill=(245, 245, 240))


def _fits(lines: list[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, inner: Size) -> bool:
    return len(lines) * font_height(font) <= inner[1] and all(font.getlength(line) <= inner[0] for line in lines)


def font_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    """Return the distance between two lines of a font."""
    return int(font.size * 5 // 4) if isinstance(font, ImageFont.FreeTypeFont) else SMALLEST_LETTERS


def _wrapped(words: list[str], width: int, size: int) -> tuple[list[str], ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    font = ImageFont.load_default(size)
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines, font


def _shortened(text: str) -> str:
    """Return the text as one line of printable characters, with an end that shows where something is missing."""
    line = " ".join(text[: 4 * MAX_LETTERS].split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= MAX_LETTERS else f"{line[: MAX_LETTERS - 3]}..."


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
