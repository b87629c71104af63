"""Keeping the media of one attempt, and what its `artifact` events say of them."""

from collections.abc import Mapping

from workers.claims import Claim
from workers.media.objects import MediaObject
from workers.media.results import ResultKeeper
from workers.providers import MediaResult
from workers.results import Tell


class AttemptMedia:
    """Keeps what one attempt's provider made."""

    def __init__(self, keeper: ResultKeeper, claim: Claim, *, provider: str) -> None:
        self._keeper = keeper
        self._claim = claim
        self._provider = provider

    async def keep(self, ordinal: int, result: MediaResult, *, tell: Tell) -> Mapping[str, object]:
        """See `MediaKeeping.keep`. A caller who wants to move it is told at once where it is, and given time."""
        claim = self._claim
        found = await self._keeper.offer(claim.generation_id, claim.account_id, ordinal, result, tier=claim.tier)
        if claim.request.client_transfer and found.state == "offered" and result.url is not None:
            tell(artifact_of(found))
            kept = await self._keeper.keep_or_wait(found, result, provider=self._provider)
        else:
            kept = await self._keeper.keep(found, result, provider=self._provider)
        return artifact_of(kept)


def artifact_of(found: MediaObject) -> dict[str, object]:
    """Return what readers are told of a result: where to ask for it, and what is known of it."""
    data: dict[str, object] = {
        "kind": found.kind,
        "media_id": str(found.id),
        "media_type": found.media_type,
        "state": found.state,
        "url": f"/v1/media/{found.id}",
    }
    if found.state == "offered":
        data["transfer_url"] = f"/v1/media/{found.id}/transfer"
    measures = {
        "size_bytes": found.size_bytes,
        "width": found.width,
        "height": found.height,
        "duration_ms": found.duration_ms,
    }
    return data | {name: value for name, value in measures.items() if value is not None}
