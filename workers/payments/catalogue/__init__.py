"""What is for sale: packs and plans, priced by region, as versions that never change."""

from workers.payments.catalogue.definitions import (
    LANGUAGES,
    Language,
    PackDefinition,
    PlanDefinition,
    Price,
    Region,
    price_key,
    price_of,
    read_price_key,
    title_of,
)
from workers.payments.catalogue.given import PackRequest, PlanRequest, RegionRequest
from workers.payments.catalogue.offers import Offer, current_offer, region_meant
from workers.payments.catalogue.versions import (
    PACK,
    PLAN,
    REGION,
    Kind,
    Version,
    define_version,
    list_versions,
    newest_versions,
    pack_version,
    plan_version,
)

__all__ = [
    "LANGUAGES",
    "PACK",
    "PLAN",
    "REGION",
    "Kind",
    "Language",
    "Offer",
    "PackDefinition",
    "PackRequest",
    "PlanDefinition",
    "PlanRequest",
    "Price",
    "Region",
    "RegionRequest",
    "Version",
    "current_offer",
    "define_version",
    "list_versions",
    "newest_versions",
    "pack_version",
    "plan_version",
    "price_key",
    "price_of",
    "read_price_key",
    "region_meant",
    "title_of",
]
