"""How long media are kept, by the tier of their account."""

from typing import Final

from workers.media.settings import MediaSettings
from workers.tiers import Tier

DAY_US: Final = 86_400_000_000


def expires_at_us(settings: MediaSettings, *, tier: Tier, now_us: int) -> int | None:
    """Return when a media object is to be deleted; never what a paying account has."""
    return None if tier is Tier.paid else now_us + settings.free_days * DAY_US
