"""Uploading to a running installation that keeps media in its own data directory."""

import asyncio
import hashlib
import stat

import httpx

from tests.media_files import mp4
from tests.running_instance import RunningInstance

FILM_BYTES = 20_000_000


async def test_a_film_is_uploaded_and_played_from_the_middle(
    instance: RunningInstance, user: httpx.AsyncClient
) -> None:
    film = mp4(size_bytes=FILM_BYTES)
    announced = {"media_type": "video/mp4", "size_bytes": len(film), "sha256": hashlib.sha256(film).hexdigest()}

    signed = (await user.post("/v1/uploads", json=announced)).json()
    async with httpx.AsyncClient(base_url=instance.url, trust_env=False, timeout=60) as stranger:
        sent = await asyncio.gather(
            *(stranger.put(signed["url"], content=film, headers=signed["headers"]) for _ in range(3))
        )
        completed = await user.post(f"/v1/uploads/{signed['id']}/complete", timeout=60)
        url = (await user.get(f"/v1/media/{signed['id']}")).json()["url"]
        middle = await stranger.get(url, headers={"Range": "bytes=10000000-10000099"})
        whole = await stranger.get(url)
        changed = await stranger.get(url.replace("video", "text"))

    assert sorted(answer.status_code for answer in sent) == [204, 412, 412]
    assert completed.status_code == 200, completed.text
    assert completed.json()["duration_ms"] == 1_500
    assert (middle.status_code, len(middle.content)) == (206, 100)
    assert whole.content == film
    assert changed.status_code == 403
    key = instance.data_dir / "media.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
