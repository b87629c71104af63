"""Every mode from admission to settlement, on the models of a new installation: what comes out, is kept and is paid."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from ledger.amounts import format_credits
from tests.builders import top_up
from tests.generations import account_with, freeze_states, generation_context, heads_of, settings_for
from tests.waiting import eventually
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.errors import TierRequired
from workers.generations import Generation, GenerationStatus, get_generation
from workers.media.errors import MediaNotFound
from workers.media.objects import get_media
from workers.models import ModelDefinition
from workers.pricing import Prices
from workers.requests import GenerationRequest
from workers.runtime import WorkerRuntime
from workers.streams.recovery import recover_text
from workers.tiers import Tier

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["title", "stars"],
    "additionalProperties": False,
}


class Bench:
    """A worker with a store, and an account."""

    def __init__(self, context: GenerationContext, worker: WorkerRuntime, account_id: UUID) -> None:
        self.context, self.worker, self.account_id = context, worker, account_id

    async def start(self, model: str, mode: str | None = None, **given: object) -> UUID:
        request = GenerationRequest(model=model, mode=mode, input=given)
        return (await admit(self.context, self.account_id, request, request_id="r")).generation.id

    async def finish(self, generation_id: UUID) -> Generation:
        await self.worker.run(generation_id, account_id=self.account_id)
        return await get_generation(self.context.database, generation_id)

    async def run(self, model: str, mode: str | None = None, **given: object) -> Generation:
        ended = await self.finish(await self.start(model, mode, **given))
        assert ended.status is GenerationStatus.completed, ended.provider_message
        return ended

    async def bytes_of(self, artifact: dict[str, object]) -> bytes:
        found = await get_media(self.context.database, UUID(str(artifact["media_id"])), account_id=self.account_id)
        return b"".join([piece async for piece in self.context.media.store.read(found.storage_key)])


@pytest.fixture
async def bench(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    environment = {"HOLDFAST_MEDIA_DIR": str(tmp_path / "media")}
    settings = settings_for(database_url, redis_url, environment)
    async with (
        generation_context(database_url, redis_url, environment) as context,
        WorkerRuntime(settings) as worker,
    ):
        yield Bench(context, worker, await account_with(context))


async def test_pictures_are_kept_before_they_are_paid_for(bench: Bench) -> None:
    ended = await bench.run("offline-image", prompt="A lighthouse", n=2, size="256x256")

    assert [artifact["kind"] for artifact in ended.artifacts] == ["image", "image"]
    for artifact in ended.artifacts:
        assert (await bench.bytes_of(artifact)).startswith(b"\x89PNG")
        assert (artifact["state"], artifact["width"], artifact["height"]) == ("stored", 256, 256)
    assert ended.usage is not None
    assert ended.usage.images == 2
    assert format_credits(ended.cost_microcredits or 0) == "0.2"


async def test_a_picture_made_here_can_be_edited_here(bench: Bench) -> None:
    (picture,) = (await bench.run("offline-image", prompt="A lighthouse", size="256x256")).artifacts

    edited = await bench.run("offline-image-edit", prompt="In red", image=picture["media_id"])

    assert (await bench.bytes_of(edited.artifacts[0])) != (await bench.bytes_of(picture))


async def test_a_speaker_is_filmed_for_as_long_as_they_speak(bench: Bench) -> None:
    (speech,) = (await bench.run("offline-speech", prompt="Every credit is accounted for")).artifacts

    ended = await bench.run("offline-speech-to-video", audio=speech["media_id"])

    (film,) = ended.artifacts
    assert film["media_type"] == "video/webm"
    assert ended.usage is not None
    assert abs(ended.usage.duration_ms - int(str(speech["duration_ms"]))) <= 200
    assert ended.cost_microcredits == -(-ended.usage.duration_ms * 50_000 // 1_000)


@pytest.mark.parametrize("variant", ["inspiration", "instrumental"])
async def test_music_is_paid_by_the_second(bench: Bench, variant: str) -> None:
    ended = await bench.run("offline-music", prompt="The sea", variant=variant, duration_s=2)

    assert (await bench.bytes_of(ended.artifacts[0])).startswith(b"RIFF")
    assert ended.cost_microcredits == 2 * 10_000


async def test_a_film_shows_how_far_it_is(bench: Bench) -> None:
    generation_id = await bench.start("offline-video", prompt="Waves", duration_s=1)

    ended = await bench.finish(generation_id)

    streamed = await recover_text(bench.context.redis, str(generation_id))
    assert ended.status is GenerationStatus.completed
    assert streamed is not None
    assert streamed.content.progress is not None
    assert streamed.artifacts == list(ended.artifacts)


async def test_structured_output_satisfies_its_schema(bench: Bench) -> None:
    ended = await bench.run("offline-text", "structured", prompt="A review", schema=SCHEMA)

    assert set(ended.structured["value"]) == {"title", "stars"}
    assert 1 <= ended.structured["value"]["stars"] <= 5
    assert ended.cost_microcredits


async def test_code_in_an_answer_is_an_artifact_too(bench: Bench) -> None:
    ended = await bench.run("echo", prompt="See:\n\n```python\nprint(1)\n```\n\nDone.")

    (code,) = ended.artifacts
    assert (code["kind"], code["language"], code["text"]) == ("code", "python", "print(1)\n")


async def test_a_film_that_is_cancelled_costs_nothing_and_leaves_nothing(bench: Bench) -> None:
    generation_id = await bench.start("offline-video", prompt="Waves", duration_s=10, delay_ms=500)
    running = asyncio.create_task(bench.finish(generation_id))
    await eventually(lambda: _is_running(bench, generation_id))

    await cancel_generation(bench.context, generation_id)
    ended = await running

    assert (ended.status, ended.cost_microcredits, ended.artifacts) == (GenerationStatus.cancelled, 0, ())
    assert freeze_states(bench.context.database.url, bench.account_id) == [2]


async def test_pictures_that_came_before_a_cancel_are_kept_and_paid_for(bench: Bench) -> None:
    generation_id = await bench.start("offline-image", prompt="Waves", n=10, size="256x256", delay_ms=300)
    running = asyncio.create_task(bench.finish(generation_id))
    await eventually(lambda: _has_artifact(bench, generation_id))

    await cancel_generation(bench.context, generation_id)
    ended = await running

    assert ended.status is GenerationStatus.cancelled
    assert 1 <= len(ended.artifacts) < 10
    assert ended.cost_microcredits == len(ended.artifacts) * 100_000
    assert all([await bench.bytes_of(artifact) for artifact in ended.artifacts])


async def test_a_file_of_someone_else_is_not_there(bench: Bench) -> None:
    (picture,) = (await bench.run("offline-image", prompt="Mine", size="256x256")).artifacts
    bench.account_id = await account_with(bench.context)

    with pytest.raises(MediaNotFound):
        await bench.start("offline-image-edit", prompt="Yours", image=picture["media_id"])


async def test_a_bound_that_the_balance_does_not_cover_is_refused_before_anyone_is_asked(bench: Bench) -> None:
    from ledger.errors import InsufficientCredits

    bench.account_id = await account_with(bench.context, 0.5)

    with pytest.raises(InsufficientCredits):
        await bench.start("offline-image", prompt="Ten pictures", n=10)
    assert heads_of(bench.context.database.url, bench.account_id).frozen == 0


async def test_a_model_for_who_pays_is_refused_to_who_does_not_and_open_at_once_to_who_does(bench: Bench) -> None:
    definition = ModelDefinition(name="dear", provider="echo", upstream_name="echo", tiers=("paid",))
    await bench.context.catalogue.upsert_model(definition, changed_by="test")
    await bench.context.catalogue.set_price("dear", prices=Prices(per_job=1), costs=Prices(), changed_by="test")

    with pytest.raises(TierRequired):
        await bench.start("dear", prompt="hello")
    await bench.context.writer.submit(top_up(1_000_000, bench.account_id, paid_amount="1.00", paid_currency="EUR"))
    started = await get_generation(bench.context.database, await bench.start("dear", prompt="hello"))

    assert started.tier == Tier.paid


async def _is_running(bench: Bench, generation_id: UUID) -> bool:
    return (await get_generation(bench.context.database, generation_id)).status is GenerationStatus.running


async def _has_artifact(bench: Bench, generation_id: UUID) -> bool:
    streamed = await recover_text(bench.context.redis, str(generation_id))
    return streamed is not None and bool(streamed.artifacts)
