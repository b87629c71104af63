"""The offline provider in pictures, films and sound: simple, always the same, and measured by what came out."""

import asyncio
import io
import struct
import time
import wave
from array import array
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise

import httpx
import pytest
from msgspec import structs
from PIL import Image

from tests.offline_calls import (
    PROMPT,
    a_file,
    a_picture,
    a_recording,
    bytes_in,
    offline_request,
    only_result,
    percents_of,
    picture_in,
    results_of,
    run_offline,
)
from workers.media.types import HEAD_BYTES, settle_type
from workers.providers import Progress, ProviderRequest, Usage
from workers.providers.errors import RequestRejected, Unavailable
from workers.providers.offline import inputs
from workers.providers.offline.options import MAX_SIDE, MAX_SONG_S, MAX_SPOKEN_FILM_MS, MAX_SPOKEN_WORDS
from workers.providers.offline.provider import Offline
from workers.providers.offline.waves import SAMPLE_RATE

ID = "0199aa00-0000-7000-8000-00000000000a"
TOO_LONG = a_recording(1, duration_ms=MAX_SONG_S * 1_000 + 1)
RENDERED = {
    "image": offline_request("image", n=2),
    "image-edit": offline_request("image-edit", PROMPT, a_picture(), image="image"),
    "video": offline_request("video", duration_s=1),
    "speech-to-video": offline_request("speech-to-video", PROMPT, a_recording(9_000), audio="audio"),
    "speech": offline_request("speech"),
    "music": offline_request("music", duration_s=2),
}


@pytest.mark.parametrize("mode", RENDERED)
async def test_the_same_request_gives_the_same_bytes(mode: str) -> None:
    first, second = [results_of(await run_offline(RENDERED[mode])) for _ in range(2)]

    assert first == second


@pytest.mark.parametrize("mode", RENDERED)
async def test_another_prompt_gives_other_bytes(mode: str) -> None:
    other = structs.replace(RENDERED[mode], messages=offline_request(mode, "Something else entirely").messages)

    assert results_of(await run_offline(RENDERED[mode])) != results_of(await run_offline(other))


@pytest.mark.parametrize("mode", RENDERED)
async def test_progress_comes_first_and_never_falls(mode: str) -> None:
    outcome = await run_offline(RENDERED[mode])

    percents = percents_of(outcome)
    assert isinstance(outcome.chunks[0], Progress)
    assert all(before <= after for before, after in pairwise(percents))
    assert 0 <= percents[0] <= percents[-1] <= 100


@pytest.mark.parametrize("mode", RENDERED)
async def test_a_delay_paces_every_step(mode: str) -> None:
    request = structs.replace(RENDERED[mode], options={**RENDERED[mode].options, "delay_ms": 20})
    began = time.monotonic()

    outcome = await run_offline(request)

    assert time.monotonic() - began >= 0.02 * len(percents_of(outcome))


async def test_usage_is_what_came_out_by_its_own_measures() -> None:
    usages = {mode: (await run_offline(request)).usage for mode, request in RENDERED.items()}

    assert usages == {
        "image": Usage(input_tokens=7, images=2, pixels=2 * 512 * 512),
        "image-edit": Usage(input_tokens=7, images=1, pixels=120 * 90),
        "video": Usage(input_tokens=7, duration_ms=1_000),
        "speech-to-video": Usage(input_tokens=7, duration_ms=500),
        "speech": Usage(input_tokens=7, duration_ms=7 * 300, characters=len(PROMPT)),
        "music": Usage(input_tokens=7, duration_ms=2_000),
    }


async def test_usage_is_reported_after_each_result_so_that_a_cut_call_is_billed_for_what_it_gave() -> None:
    outcome = await run_offline(RENDERED["image"])

    assert [(report.usage.images, report.final) for report in outcome.reports] == [(1, False), (2, False), (2, True)]


async def test_a_stopped_call_leaves_the_provider_usable() -> None:
    offline = Offline()
    async with aclosing(offline.stream(offline_request("music", duration_s=MAX_SONG_S))) as stream:
        await anext(stream)

    async with aclosing(offline.stream(RENDERED["speech"])) as stream:
        chunks = [chunk async for chunk in stream]

    assert len(chunks) > 2
    await offline.aclose()
    await offline.aclose()


async def test_rendering_leaves_the_event_loop_to_others() -> None:
    pauses: list[float] = []

    async def measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            pauses.append(time.perf_counter() - before)

    measuring = asyncio.ensure_future(measure())
    await run_offline(offline_request("image", size=f"{MAX_SIDE}x{MAX_SIDE}", n=2))
    measuring.cancel()

    assert sorted(pauses)[len(pauses) * 99 // 100] < 0.02


@pytest.mark.parametrize("size", ["64x64", "64x2048", "640x480"])
async def test_a_picture_has_the_size_that_was_asked_for(size: str) -> None:
    result = await only_result(offline_request("image", size=size))

    assert "x".join(map(str, picture_in(result).size)) == size
    assert (result.width, result.height) == picture_in(result).size


@pytest.mark.parametrize("size", ["63x64", "64x2049", "0x0", "512", "512x", "-64x64", "64x64\n", "auto"])
def test_a_size_out_of_bounds_is_refused(size: str) -> None:
    with pytest.raises(RequestRejected):
        Offline().check(offline_request("image", size=size))


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 11}, {"seed": -1}, {"output_format": "bmp"}, {"delay_ms": 10_001}])
def test_a_parameter_of_a_picture_out_of_bounds_is_refused(options: dict[str, object]) -> None:
    request = structs.replace(offline_request("image"), options=options)

    with pytest.raises(RequestRejected):
        Offline().check(request)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
async def test_a_picture_has_the_format_that_was_asked_for(output_format: str) -> None:
    result = await only_result(offline_request("image", output_format=output_format))

    assert result.media_type == f"image/{output_format}"
    assert picture_in(result).format == output_format.upper()


async def test_pictures_of_one_call_and_of_other_seeds_differ() -> None:
    pictures = [bytes_in(result) for result in results_of(await run_offline(offline_request("image", n=10)))]
    other = await only_result(offline_request("image", seed=100))

    assert len({*pictures, bytes_in(other)}) == 11


@pytest.mark.parametrize("prompt", ["x" * 3_000, "слово 漢字 👩‍👩‍👧 \x00\u2028 é", "word " * 500, " a "])
async def test_any_text_can_be_lettered(prompt: str) -> None:
    await only_result(offline_request("image", prompt, size="64x64"))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF"])
async def test_an_edited_picture_keeps_its_size_and_looks_different(file_format: str) -> None:
    picture = a_picture((300, 200), file_format=file_format)

    result = await only_result(offline_request("image-edit", PROMPT, picture, image="image"))

    assert picture_in(result).size == (300, 200)
    assert picture_in(result).convert("RGB").getpixel((20, 20)) != (255, 0, 0)


async def test_an_edit_without_strength_changes_nothing_but_the_caption() -> None:
    result = await only_result(offline_request("image-edit", PROMPT, a_picture(), image="image", strength=0))

    assert picture_in(result).getpixel((20, 20)) == (255, 0, 0)
    assert picture_in(result).getpixel((10, 80)) != (255, 0, 0)


async def test_a_mask_keeps_the_part_where_it_is_opaque() -> None:
    mask = structs.replace(a_picture(mode="RGBA"), media_id="mask")

    result = await only_result(
        offline_request("image-edit", PROMPT, a_picture(), mask, image="image", mask="mask", size="240x180")
    )

    assert picture_in(result).getpixel((40, 40)) != (255, 0, 0)
    assert picture_in(result).getpixel((200, 40)) == (0, 0, 255)


async def test_a_tiny_picture_is_made_large_enough_to_letter() -> None:
    result = await only_result(offline_request("image-edit", PROMPT, a_picture((2, 1)), image="image"))

    assert picture_in(result).size == (64, 64)


@pytest.mark.parametrize("content", [b"", b"no picture", (a_picture().content or b"")[:100]])
async def test_a_picture_that_cannot_be_read_is_refused(content: bytes) -> None:
    picture = a_file("image", "image/png", content)

    outcome = await run_offline(offline_request("image-edit", PROMPT, picture, image="image"))

    assert isinstance(outcome.failure, RequestRejected)


async def test_a_picture_that_unpacks_to_too_much_is_refused_unopened() -> None:
    buffer = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(buffer, "PNG")
    lying = a_file("image", "image/png", buffer.getvalue(), width=10, height=10)
    honest = structs.replace(lying, width=8_000, height=8_000)

    outcome = await run_offline(offline_request("image-edit", PROMPT, lying, image="image"))

    assert "more than" in outcome.failure.provider_message
    with pytest.raises(RequestRejected, match="more than"):
        Offline().check(offline_request("image-edit", PROMPT, honest, image="image"))


def test_an_edit_needs_the_picture_it_names() -> None:
    for files in ([], [structs.replace(a_recording(1), media_id="image")]):
        with pytest.raises(RequestRejected, match="is no image of this request"):
            Offline().check(offline_request("image-edit", PROMPT, *files, image="image"))


@pytest.mark.parametrize(
    ("aspect_ratio", "resolution", "size"),
    [("16:9", "480p", (854, 480)), ("9:16", "480p", (270, 480)), ("1:1", "720p", (720, 720))],
)
async def test_a_film_has_the_size_that_was_asked_for(
    aspect_ratio: str, resolution: str, size: tuple[int, int]
) -> None:
    request = offline_request("video", aspect_ratio=aspect_ratio, resolution=resolution, duration_s=1)

    result = await only_result(request)

    assert (result.width, result.height) == size
    assert {frame.size for frame in frames_of(bytes_in(result))} == {size}


async def test_a_film_is_webm_of_key_frames_that_move() -> None:
    result = await only_result(offline_request("video", duration_s=2))

    content = bytes_in(result)
    frames = frames_of(content)
    assert result.media_type == "video/webm"
    assert result.duration_ms == 2_000
    assert one(content, SEGMENT, INFO, DURATION) == struct.pack(">d", 2_000)
    assert one(content, SEGMENT, TRACKS, TRACK_ENTRY, CODEC_ID) == b"V_VP8"
    assert len(frames) == 20
    assert all(before.tobytes() != after.tobytes() for before, after in pairwise(frames))


@pytest.mark.parametrize("mode", RENDERED)
async def test_every_result_is_of_a_type_that_is_kept(mode: str) -> None:
    for result in results_of(await run_offline(RENDERED[mode])):
        head = bytes_in(result)[:HEAD_BYTES]

        assert settle_type(head, result.media_type, kind=result.kind) == result.media_type


async def test_the_index_of_a_film_leads_to_its_clusters() -> None:
    content = bytes_in(await only_result(offline_request("video", duration_s=3)))

    (segment,) = found(content, SEGMENT)
    cues = found(content, SEGMENT, CUES, CUE_POINT)
    places = [int.from_bytes(one(cue, CUE_TRACK_POSITIONS, CUE_CLUSTER_POSITION)) for cue in cues]
    times = [int.from_bytes(one(cue, CUE_TIME)) for cue in cues]
    assert times == [0, 1_000, 2_000]
    assert [segment[place : place + 4] for place in places] == [CLUSTER.to_bytes(4)] * 3
    assert [int.from_bytes(one(cluster, TIMESTAMP)) for cluster in found(content, SEGMENT, CLUSTER)] == times


async def test_a_picture_is_the_ground_of_a_film() -> None:
    plain = await only_result(offline_request("video", duration_s=1))
    request = offline_request("video", PROMPT, a_picture((854, 480)), image="image", duration_s=1)

    frame = frames_of(bytes_in(await only_result(request)))[0]

    red, _, blue = frame.crop((5, 5, 6, 6)).tobytes()
    assert red > 200
    assert blue < 50
    assert frames_of(bytes_in(plain))[0].tobytes() != frame.tobytes()


async def test_a_spoken_film_is_as_long_as_the_recording_and_opens_its_mouth_when_it_is_loud() -> None:
    recording = a_recording(0, 30_000, part_ms=250)

    result = await only_result(offline_request("speech-to-video", "", recording, audio="audio"))

    frames = frames_of(bytes_in(result))
    mouths = [frame.crop((380, 240, 474, 336)).tobytes() for frame in frames]
    assert result.duration_ms == 500
    assert len(frames) == 5
    assert mouths[0] == mouths[1] != mouths[3]


@pytest.mark.parametrize("content", [b"", b"ID3 not a wav", b"RIFF\x00\x00\x00\x00WAVE"])
async def test_a_recording_of_another_format_makes_a_film_too(content: bytes) -> None:
    recording = a_file("audio", "audio/mpeg", content, duration_ms=200)

    result = await only_result(offline_request("speech-to-video", "", recording, audio="audio"))

    assert len(frames_of(bytes_in(result))) == 2


@pytest.mark.parametrize("duration_ms", [None, 0, MAX_SPOKEN_FILM_MS + 1])
def test_a_recording_of_unknown_or_too_great_length_is_refused(duration_ms: int | None) -> None:
    recording = a_recording(1, duration_ms=duration_ms)

    with pytest.raises(RequestRejected, match="the length of the recording"):
        Offline().check(offline_request("speech-to-video", "", recording, audio="audio"))


async def test_speech_is_a_tone_a_word_the_same_for_the_same_word() -> None:
    result = await only_result(offline_request("speech", "one two One"))

    samples = samples_of(bytes_in(result))
    word = len(samples) // 3
    assert result.duration_ms == 900
    assert len(samples) == SAMPLE_RATE * 900 // 1_000
    assert samples[:word] == samples[2 * word :]
    assert samples[:word] != samples[word : 2 * word]
    assert max(map(abs, samples)) > 5_000


async def test_faster_speech_is_shorter_and_another_voice_sounds_different() -> None:
    usual = await only_result(offline_request("speech"))
    fast = await only_result(offline_request("speech", speed=2))
    low = await only_result(offline_request("speech", voice="low"))

    assert (usual.duration_ms, fast.duration_ms) == (7 * 300, 7 * 150)
    assert bytes_in(low) != bytes_in(usual)


def test_a_text_too_long_to_speak_is_refused() -> None:
    Offline().check(offline_request("speech", "a " * MAX_SPOKEN_WORDS))

    with pytest.raises(RequestRejected, match="more than"):
        Offline().check(offline_request("speech", "a " * (MAX_SPOKEN_WORDS + 1)))


async def test_music_plays_as_long_as_was_asked_for() -> None:
    result = await only_result(offline_request("music", duration_s=7))

    samples = samples_of(bytes_in(result))
    assert result.duration_ms == 7_000
    assert len(samples) == 7 * SAMPLE_RATE
    assert max(map(abs, samples)) > 5_000


async def test_every_variant_of_music_sounds_different() -> None:
    recording = a_recording(9_000, part_ms=3_000)
    variants = {
        "inspiration": offline_request("music", duration_s=3),
        "lyrics": offline_request("music", "", duration_s=3, variant="lyrics", lyrics="la li lu"),
        "custom": offline_request("music", duration_s=3, variant="custom", lyrics="la li lu"),
        "titled": offline_request("music", duration_s=3, variant="custom", lyrics="la li lu", title="Sea"),
        "low": offline_request("music", duration_s=3, variant="custom", lyrics="la li lu", vocal_gender="male"),
        "styled": offline_request("music", duration_s=3, style="jazz"),
        "cover": offline_request("music", PROMPT, recording, variant="cover", audio="audio"),
    }

    results = [await only_result(request) for request in variants.values()]

    assert len({result.content for result in results}) == len(variants)
    assert {result.duration_ms for result in results} == {3_000}


@pytest.mark.parametrize(
    ("request_of_one", "problem"),
    [
        (offline_request("music", variant="lyrics"), "lyrics are needed"),
        (offline_request("music", "", variant="custom", title="Sea"), "a prompt is needed"),
        (offline_request("music", "", variant="instrumental"), "a prompt is needed"),
        (offline_request("music", variant="cover"), "a recording to cover is needed"),
        (offline_request("music", variant="cover", audio="audio"), "is no audio of this request"),
        (offline_request("music", PROMPT, TOO_LONG, variant="cover", audio="audio"), "the recording is longer"),
    ],
)
def test_a_variant_of_music_needs_what_it_works_from(request_of_one: ProviderRequest, problem: str) -> None:
    with pytest.raises(RequestRejected, match=problem):
        Offline().check(request_of_one)


async def test_a_file_without_bytes_is_fetched_from_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = a_picture()
    remote = structs.replace(picture, content=None, url="http://127.0.0.1:9/picture")
    answers = httpx.MockTransport(lambda _: httpx.Response(200, content=picture.content))
    usual = httpx.AsyncClient

    def answered(**_: object) -> httpx.AsyncClient:
        return usual(transport=answers)

    monkeypatch.setattr(inputs.httpx, "AsyncClient", answered)

    fetched = await only_result(offline_request("image-edit", PROMPT, remote, image="image"))

    assert fetched == await only_result(offline_request("image-edit", PROMPT, picture, image="image"))
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 10)
    outcome = await run_offline(offline_request("image-edit", PROMPT, remote, image="image"))
    assert isinstance(outcome.failure, RequestRejected)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/picture"])
async def test_a_file_that_is_nowhere_ends_the_call(url: str | None) -> None:
    lost = structs.replace(a_picture(), content=None, url=url)

    outcome = await run_offline(offline_request("image-edit", PROMPT, lost, image="image"))

    assert isinstance(outcome.failure, Unavailable)


SEGMENT, INFO, DURATION, TRACKS, TRACK_ENTRY, CODEC_ID = 0x18538067, 0x1549A966, 0x4489, 0x1654AE6B, 0xAE, 0x86
CUES, CUE_POINT, CUE_TIME, CUE_TRACK_POSITIONS, CUE_CLUSTER_POSITION = 0x1C53BB6B, 0xBB, 0xB3, 0xB7, 0xF1
CLUSTER, TIMESTAMP, SIMPLE_BLOCK = 0x1F43B675, 0xE7, 0xA3


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The ids and contents of the elements of an EBML document, read by the rules of RFC 8794."""
    at = 0
    while at < len(content):
        id_bytes = 9 - content[at].bit_length()
        identity = int.from_bytes(content[at : at + id_bytes])
        at += id_bytes
        size_bytes = 9 - content[at].bit_length()
        size = int.from_bytes(content[at : at + size_bytes]) & ((1 << 7 * size_bytes) - 1)
        at += size_bytes
        assert at + size <= len(content), "an element is longer than what it is in"
        yield identity, content[at : at + size]
        at += size


def found(content: bytes, *path: int) -> list[bytes]:
    """The contents of all elements at a path."""
    level = [content]
    for identity in path:
        level = [inner for outer in level for found_id, inner in elements(outer) if found_id == identity]
    return level


def one(content: bytes, *path: int) -> bytes:
    (element,) = found(content, *path)
    return element


def frames_of(film: bytes) -> list[Image.Image]:
    """The frames of a film, each decoded as the WebP picture it once was."""
    frames: list[Image.Image] = []
    for block in found(film, SEGMENT, CLUSTER, SIMPLE_BLOCK):
        assert block[0] == 0x81, "track 1"
        assert block[3] == 0x80, "a key frame"
        vp8 = block[4:]
        padded = vp8 + b"\0" * (len(vp8) % 2)
        riff = b"WEBPVP8 " + struct.pack("<I", len(vp8)) + padded
        frames.append(Image.open(io.BytesIO(b"RIFF" + struct.pack("<I", len(riff)) + riff)).convert("RGB"))
    return frames


def samples_of(recording: bytes) -> "array[int]":
    with wave.open(io.BytesIO(recording), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return array("h", file.readframes(file.getnframes()))
