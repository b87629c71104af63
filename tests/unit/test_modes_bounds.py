"""The bound is never below what a mode can report."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.modes import MODES, bound_units, read_input
from workers.modes.parameters import TAKEN_AWAY
from workers.providers import InputFile, MediaKind, Usage

MEDIA_ID = str(uuid4())


def bound(mode: str, parameters: dict[str, Any] | None = None, *, plays_ms: int | None = None, **said: object) -> Usage:
    kind: MediaKind = "image" if mode == "image-edit" else "audio"
    file = InputFile(media_id=MEDIA_ID, kind=kind, media_type="x/y", size_bytes=1, duration_ms=plays_ms)
    return bound_units(read_input(mode, parameters or {}, said), {MEDIA_ID: file})


@given(st.integers(1, 10), st.integers(10, 9_999), st.integers(10, 9_999))
def test_pictures_of_the_size_that_was_asked_for_are_covered(n: int, width: int, height: int) -> None:
    covered = bound("image", prompt="x", n=n, size=f"{width}x{height}")

    assert covered.images == n
    assert covered.pixels >= n * width * height


@given(st.integers(10, 4_096), st.integers(10, 4_096))
def test_pictures_whose_sides_a_model_rounds_up_are_covered(width: int, height: int) -> None:
    rounded = -(-width // 32) * 32 * (-(-height // 32) * 32)

    assert bound("image", prompt="x", size=f"{width}x{height}").pixels >= rounded


def test_a_picture_of_no_said_size_may_be_the_largest_of_the_model() -> None:
    of_model = {"size": {"enum": ["512x512", "1024x1024", "auto"]}}

    assert bound("image", of_model, prompt="x").pixels == 1_048_576
    assert bound("image", of_model, prompt="x", size="auto").pixels == 1_048_576
    assert bound("image", of_model, prompt="x", size="512x512").pixels == 262_144
    assert bound("image", prompt="x", aspect_ratio="16:9", n=2).pixels == 2 * 16_777_216
    assert bound("image-edit", prompt="x", image=MEDIA_ID).pixels == 16_777_216


def test_a_model_that_is_told_width_and_height_is_covered() -> None:
    side = {"type": "integer", "minimum": 64, "maximum": 2_048}

    assert bound("image", {"width": side, "height": side}, prompt="x", width=640, height=100).pixels == 640 * 128


def test_a_model_that_makes_as_many_pictures_as_it_likes_is_covered() -> None:
    assert bound("image", {"n": TAKEN_AWAY}, prompt="x").images == 10
    assert bound("image", {"n": {"type": "integer", "maximum": 4}}, prompt="x").images == 4


@given(st.integers(1, 60))
def test_a_film_a_little_longer_than_asked_for_is_covered(duration_s: int) -> None:
    covered = bound("video", prompt="x", duration_s=duration_s)

    assert duration_s * 1_000 + 1_000 <= covered.duration_ms <= duration_s * 1_100 + 1_000


def test_a_film_of_no_said_length_may_be_the_longest_of_the_model() -> None:
    assert bound("video", prompt="x").duration_ms == 67_000
    assert bound("video", {"duration_s": {"enum": [5, 10]}}, prompt="x").duration_ms == 12_000
    assert bound("video", {"duration_s": {"enum": [5, 10], "default": 5}}, prompt="x").duration_ms == 6_500
    assert bound("video", {"duration_s": TAKEN_AWAY}, prompt="x").duration_ms == 67_000


@given(st.integers(1, 600_000))
def test_what_is_made_from_a_recording_plays_about_as_long(plays_ms: int) -> None:
    film = bound("speech-to-video", audio=MEDIA_ID, plays_ms=plays_ms)
    cover = bound("music", variant="cover", audio=MEDIA_ID, plays_ms=plays_ms)

    assert film.duration_ms == cover.duration_ms >= plays_ms + 1_000


def test_a_recording_of_unknown_length_may_be_the_longest() -> None:
    assert bound("speech-to-video", audio=MEDIA_ID).duration_ms == 661_000


def test_a_cover_that_is_asked_to_be_longer_than_its_original_is_covered() -> None:
    covered = bound("music", variant="cover", audio=MEDIA_ID, duration_s=100, plays_ms=10_000)

    assert covered.duration_ms == 111_000


def test_music_is_bounded_by_what_was_asked_for() -> None:
    assert bound("music", prompt="x", duration_s=30).duration_ms == 34_000
    assert bound("music", prompt="x").duration_ms == 661_000


@given(st.text(min_size=1, max_size=500).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)))
def test_speech_covers_every_character_however_they_are_counted(text: str) -> None:
    covered = bound("speech", prompt=text)

    assert covered.characters >= len(text)
    assert covered.characters >= len(text.encode("utf-16-le")) // 2
    assert covered.duration_ms >= len(text) * 600, "a digit or an ideogram is a word"


@given(st.floats(0.25, 4))
def test_slow_speech_plays_longer(speed: float) -> None:
    usual, slow = bound("speech", prompt="one two three"), bound("speech", prompt="one two three", speed=speed)

    assert slow.duration_ms >= usual.duration_ms
    assert slow.duration_ms >= (13 * 600) / speed


@pytest.mark.parametrize("mode", ["chat", "compose", "structured"])
def test_text_comes_to_tokens_only(mode: str) -> None:
    said: dict[str, Any] = {"schema": {"type": "object"}} if mode == "structured" else {}

    assert bound(mode, prompt="x", **said) == Usage()


def test_the_time_of_a_machine_is_bounded_by_the_time_out() -> None:
    taken = read_input("video", {}, {"prompt": "x"})

    assert bound_units(taken, {}, total_s=900.0005).compute_ms == 900_001
    assert bound_units(taken, {}).compute_ms == 0


def test_every_mode_with_media_has_a_bound() -> None:
    for mode in MODES.values():
        has_bound = any((mode.bounds.images, mode.bounds.duration, mode.bounds.characters))
        assert has_bound == (mode.gives not in {"text", "json"}), mode.name
