"""How many tokens Claude makes of a picture."""

from typing import Final

from workers.providers.interface import InputFile

PIXELS_PER_TOKEN: Final = 750
PATCH_PIXELS: Final = 28
"""A token stands for a square of this edge, which is about 750 pixels; thin pictures fill their squares badly."""

MAX_IMAGE_TOKENS: Final = 4_784
"""Larger pictures are made smaller first: to 1,568 tokens, and with the models of high resolution to this many."""


def bound_image_tokens(image: InputFile) -> int:
    """Return the most tokens a picture can come to; the documented maximum where its size is not known."""
    if image.width is None or image.height is None:
        return MAX_IMAGE_TOKENS
    by_area = -(-image.width * image.height // PIXELS_PER_TOKEN)
    by_patch = -(-image.width // PATCH_PIXELS) * -(-image.height // PATCH_PIXELS)
    return min(max(by_area, by_patch), MAX_IMAGE_TOKENS)
