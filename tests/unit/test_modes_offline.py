"""Every mode from its input to what comes out, on the provider that needs no network."""

from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from tests.offline_calls import a_picture, a_recording, offline_request, run_offline
from workers.modes import MODES, ModeInput, bound_units, read_input
from workers.providers import InputFile

PICTURE_ID, RECORDING_ID = str(UUID(int=1)), str(UUID(int=2))
PICTURE = structs.replace(a_picture(), media_id=PICTURE_ID)
RECORDING = structs.replace(a_recording(9_000), media_id=RECORDING_ID)
FILES: dict[str, InputFile] = {PICTURE_ID: PICTURE, RECORDING_ID: RECORDING}

WISHES: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"prompt": "one two"}),
    ("compose", {"prompt": "one two"}),
    ("structured", {"prompt": "one two", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}),
    ("image", {"prompt": "a fox"}),
    ("image", {"prompt": "a fox", "n": 3, "size": "100x333", "seed": 7, "output_format": "webp"}),
    ("image-edit", {"prompt": "a fox", "image": PICTURE_ID}),
    ("video", {"prompt": "a fox", "duration_s": 1, "aspect_ratio": "1:1"}),
    ("video", {"prompt": "a fox"}),
    ("speech-to-video", {"audio": RECORDING_ID, "image": PICTURE_ID}),
    ("speech", {"prompt": "I"}),
    ("speech", {"prompt": "one two three", "speed": 0.25}),
    ("music", {"prompt": "rain", "duration_s": 2}),
    ("music", {"variant": "custom", "style": "jazz", "title": "Rain", "vocal_gender": "male"}),
    ("music", {"variant": "lyrics", "lyrics": "la la la"}),
    ("music", {"variant": "instrumental", "prompt": "rain", "duration_s": 3}),
    ("music", {"variant": "cover", "audio": RECORDING_ID}),
]


def read(mode: str, wish: dict[str, Any]) -> ModeInput:
    return read_input(mode, {}, wish)


def test_every_mode_and_variant_is_wished_for() -> None:
    assert {mode for mode, _ in WISHES} == set(MODES)
    wished = {str(wish.get("variant", "inspiration")) for mode, wish in WISHES if mode == "music"}
    assert wished == set(MODES["music"].variants)


@pytest.mark.parametrize(("mode", "wish"), WISHES)
async def test_what_is_asked_for_comes_out_and_is_within_its_bound(mode: str, wish: dict[str, Any]) -> None:
    given = read(mode, wish)
    request = structs.replace(
        offline_request(mode),
        messages=given.messages,
        options=given.options,
        files={media_id: FILES[media_id] for media_id in given.file_ids},
        output_schema=given.output_schema,
    )

    outcome = await run_offline(request)

    used, most = outcome.usage, bound_units(given, FILES)
    assert outcome.error is None
    for measure in ("images", "pixels", "duration_ms", "characters"):
        assert getattr(used, measure) <= getattr(most, measure), measure
    if mode not in {"chat", "compose", "structured"}:
        assert any(getattr(used, measure) for measure in ("images", "duration_ms", "characters"))
