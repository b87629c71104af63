"""How many tokens a model makes of a picture at high detail: by tiles or by patches, as each does."""

from math import ceil
from typing import Final

from workers.providers.interface import InputFile

DETAIL: Final = "high"
"""What is asked for. `auto` may take the picture as it is, for several times the tokens."""

PATCH_PIXELS: Final = 32
MAX_PATCHES: Final = 2_500
MAX_TOKENS_PER_PATCH_PERCENT: Final = 246
"""Models count a patch as 1 token (large ones) to 2.46 (the smallest); larger pictures are made smaller first."""

FIT_PIXELS: Final = 2_048
SHORT_EDGE_PIXELS: Final = 768
TILE_PIXELS: Final = 512
TOKENS_PER_PICTURE: Final = 85
TOKENS_PER_TILE: Final = 170

MINI_PREFIX: Final = "gpt-4o-mini"
MINI_TOKENS_PER_PICTURE: Final = 2_833
MINI_TOKENS_PER_TILE: Final = 5_667
"""This one model counts pictures so that they cost what they cost with the large one."""

OTHER_PATCH_PIXELS: Final = 28
LEAST_OTHER_TOKENS: Final = 2_880
MOST_OTHER_TOKENS: Final = 16_384
"""Open models make a fixed number of tokens of a picture, up to the first number, or one of every patch, up to the
second."""

UNKNOWN_SIZE_PIXELS: Final = (6_000, 6_000)


def bound_image_tokens(upstream_model: str, image: InputFile) -> int:
    """Return the most tokens a picture can come to, whichever rule the model has."""
    width, height = (image.width, image.height) if image.width and image.height else UNKNOWN_SIZE_PIXELS
    if upstream_model.startswith(MINI_PREFIX):
        return MINI_TOKENS_PER_PICTURE + MINI_TOKENS_PER_TILE * _most_tiles(width, height)
    by_tile = TOKENS_PER_PICTURE + TOKENS_PER_TILE * _most_tiles(width, height)
    patches = min(ceil(width / PATCH_PIXELS) * ceil(height / PATCH_PIXELS), MAX_PATCHES)
    by_patch = -(-patches * MAX_TOKENS_PER_PATCH_PERCENT // 100)
    return max(by_tile, by_patch)


def bound_other_image_tokens(image: InputFile) -> int:
    """Return the most tokens a picture can come to with a model that is not OpenAI's."""
    if not image.width or not image.height:
        return MOST_OTHER_TOKENS
    patches = ceil(image.width / OTHER_PATCH_PIXELS) * ceil(image.height / OTHER_PATCH_PIXELS)
    return min(max(patches, LEAST_OTHER_TOKENS), MOST_OTHER_TOKENS)


def _most_tiles(width: int, height: int) -> int:
    """Count the tiles after the picture was fitted into a square and its short edge made shorter, rounding up."""
    fitting = min(1.0, FIT_PIXELS / max(width, height))
    shortening = min(1.0, SHORT_EDGE_PIXELS / (min(width, height) * fitting))
    scale = fitting * shortening
    return ceil(ceil(width * scale) / TILE_PIXELS) * ceil(ceil(height * scale) / TILE_PIXELS)
