"""What a call costs. Integers only; one generation is rounded once, up."""

from typing import Final

import msgspec

from workers.errors import InvalidPrice
from workers.providers import Usage

MAX_RATE: Final = 10**15
"""With the most that one call can use, the cost still is one amount the ledger takes."""

_PARTS: Final = 1_000_000
"""All measures are counted in millionths of what their rate is per, so that a sum of them is rounded once."""

_PER_THOUSAND: Final = 1_000


class Prices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The rates of one model, in one unit: microcredits for customers, millionths of a US dollar for our cost."""

    input_per_mtok: int = 0
    output_per_mtok: int = 0
    cache_read_per_mtok: int = 0
    cache_write_per_mtok: int = 0
    per_image: int = 0
    per_megapixel: int = 0
    per_second: int = 0
    """Of the audio or video that came out."""
    per_kchar: int = 0
    """A thousand characters of the text that was spoken."""
    per_job: int = 0
    """A call that delivered something, whatever it was."""
    per_compute_second: int = 0
    """Of the provider's machine. A cost only: nobody can say beforehand how much it will be."""

    def check(self) -> None:
        """Refuse what cannot be a rate.

        Raises:
            InvalidPrice: one of them is below zero or above `MAX_RATE`.
        """
        for field, rate in msgspec.structs.asdict(self).items():
            if type(rate) is not int or not 0 <= rate <= MAX_RATE:
                raise InvalidPrice(field, f"must be a whole number from 0 to {MAX_RATE}")

    def check_sellable(self) -> None:
        """Refuse what customers cannot be asked to pay.

        Raises:
            InvalidPrice: as `check`; or it is by compute time, which has no bound to freeze.
        """
        self.check()
        if self.per_compute_second:
            raise InvalidPrice("per_compute_second", "can be a cost, not a price")

    def cost(self, usage: Usage) -> int:
        """Return the cost of a call, rounded up to a whole unit."""
        plain_input_tokens = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        assert plain_input_tokens >= 0, "cached tokens are part of the input tokens"
        return _whole(
            plain_input_tokens * self.input_per_mtok
            + usage.cache_read_tokens * self.cache_read_per_mtok
            + usage.cache_write_tokens * self.cache_write_per_mtok
            + usage.output_tokens * self.output_per_mtok
            + self._media_parts(usage)
        )

    def bound(self, most: Usage) -> int:
        """Return the most that a call can cost that uses no more than this, however the provider's cache is used."""
        dearest_input = max(self.input_per_mtok, self.cache_read_per_mtok, self.cache_write_per_mtok)
        return _whole(
            most.input_tokens * dearest_input + most.output_tokens * self.output_per_mtok + self._media_parts(most)
        )

    def _media_parts(self, usage: Usage) -> int:
        jobs = 1 if usage.output_tokens or usage.images or usage.duration_ms or usage.characters else 0
        return (
            usage.pixels * self.per_megapixel
            + usage.duration_ms * _PER_THOUSAND * self.per_second
            + usage.characters * _PER_THOUSAND * self.per_kchar
            + usage.compute_ms * _PER_THOUSAND * self.per_compute_second
            + (usage.images * self.per_image + jobs * self.per_job) * _PARTS
        )


def _whole(parts: int) -> int:
    return -(-parts // _PARTS)
