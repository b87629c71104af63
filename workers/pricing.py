"""What tokens cost. Integers only; one generation is rounded once, up."""

from typing import Final

import msgspec

from workers.errors import InvalidPrice
from workers.providers import Usage

TOKENS_PER_MTOK: Final = 1_000_000
MAX_PRICE_PER_MTOK: Final = 10**15
"""With the most tokens a call can have, the cost still is one amount the ledger takes."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Prices per million tokens, in one unit: microcredits for customers, millionths of a US dollar for our cost."""

    input_per_mtok: int
    output_per_mtok: int
    cache_read_per_mtok: int
    cache_write_per_mtok: int

    def check(self) -> None:
        """Refuse what cannot be a price.

        Raises:
            InvalidPrice: one of them is below zero or above `MAX_PRICE_PER_MTOK`.
        """
        for field, price in msgspec.structs.asdict(self).items():
            if type(price) is not int or not 0 <= price <= MAX_PRICE_PER_MTOK:
                raise InvalidPrice(field, f"must be a whole number from 0 to {MAX_PRICE_PER_MTOK}")

    def cost(self, usage: Usage) -> int:
        """Return the cost of a call, rounded up to a whole unit."""
        plain_input_tokens = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        assert plain_input_tokens >= 0, "cached tokens are part of the input tokens"
        return _per_mtok(
            plain_input_tokens * self.input_per_mtok
            + usage.cache_read_tokens * self.cache_read_per_mtok
            + usage.cache_write_tokens * self.cache_write_per_mtok
            + usage.output_tokens * self.output_per_mtok
        )

    def bound(self, *, input_tokens: int, output_tokens: int) -> int:
        """Return the most that a call within these tokens can cost, however the provider's cache is used."""
        dearest_input = max(self.input_per_mtok, self.cache_read_per_mtok, self.cache_write_per_mtok)
        return _per_mtok(input_tokens * dearest_input + output_tokens * self.output_per_mtok)


def _per_mtok(total: int) -> int:
    return -(-total // TOKENS_PER_MTOK)
