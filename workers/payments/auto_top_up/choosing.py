"""Which pack an automatic top-up buys."""

from collections.abc import Mapping, Sequence

from workers.payments.catalogue import Offer, PackDefinition, Version
from workers.payments.catalogue.definitions import full_price_of
from workers.payments.errors import PackNotFound


class Catalogue:
    """The packs that are for sale, as they were read at one time."""

    def __init__(self, packs: Mapping[str, Version[PackDefinition]]) -> None:
        self._packs = {name: pack for name, pack in packs.items() if pack.definition.enabled}

    def offer(self, name: str, region: str) -> Offer[PackDefinition]:
        """Return a pack at its price in a region.

        Raises:
            PackNotFound: there is none of this name, or it is not for sale.
            CurrencyNotOffered: it has no price in this region.
        """
        pack = self._packs.get(name)
        if pack is None:
            raise PackNotFound(name)
        return Offer(product=pack, region=region, price=full_price_of(pack.definition, region))

    def offers(self, region: str) -> list[Offer[PackDefinition]]:
        """Return all packs that have a price in a region."""
        return [self.offer(name, region) for name, pack in self._packs.items() if region in pack.definition.prices]


def offer_for(offers: Sequence[Offer[PackDefinition]], missing_microcredits: int) -> Offer[PackDefinition]:
    """Return the cheapest pack that brings as much as is missing; where none does, the one that brings most."""

    def price_and_name(offer: Offer[PackDefinition]) -> tuple[int, str]:
        return offer.price.money.minor, offer.product.definition.name

    enough = [each for each in offers if each.product.definition.credits_microcredits >= missing_microcredits]
    if enough:
        return min(enough, key=price_and_name)
    most = max(each.product.definition.credits_microcredits for each in offers)
    return min((each for each in offers if each.product.definition.credits_microcredits == most), key=price_and_name)
