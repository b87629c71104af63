"""Modes `video` and `speech-to-video`: shapes that wander over a ground, and a mouth that follows a recording.

The films are silent. WebM takes no sound but Vorbis and Opus, and neither can be encoded without a library for it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageOps

from workers.providers.interface import InputFile, MediaResult, Progress, ProviderRequest
from workers.providers.offline.craft import Craft, Rendering, bytes_of, file_of, needs_prompt, prompt_of
from workers.providers.offline.drawing import Size, digest_of, draw_shape, letter, paint_ground, palette_of
from workers.providers.offline.options import (
    MAX_SPOKEN_FILM_MS,
    FilmOptions,
    SpeechToVideoOptions,
    VideoOptions,
    options_of,
    rejected,
)
from workers.providers.offline.pictures import check_picture, open_picture
from workers.providers.offline.waves import loudness
from workers.providers.offline.webm import FRAME_MS, Film, vp8_frame, write_webm

FRAMES_PER_STEP: Final = 5
WANDERERS: Final = 3

_TURN: Final = 2 * math.pi


def _check_video(request: ProviderRequest) -> None:
    needs_prompt(request)
    _check_ground(request, options_of(request, VideoOptions))


def _render_video(request: ProviderRequest) -> Rendering:
    options = options_of(request, VideoOptions)
    size = options.size
    prompt = prompt_of(request)
    digest = digest_of(prompt, options.seed)
    palette = palette_of(digest)
    duration_ms = options.duration_s * 1_000

    def draw_wanderers(picture: Image.Image, at: int) -> None:
        draw = ImageDraw.Draw(picture)
        for number in range(WANDERERS):
            turns, phase, extent = digest[22 + 3 * number : 25 + 3 * number]
            angle = _TURN * ((1 + turns % 2) * at * FRAME_MS / duration_ms + phase / 256)
            place = (0.5 + 0.35 * math.cos(angle), 0.32 + 0.22 * math.sin(angle))
            draw_shape(draw, size, at=place, extent=0.06 + extent / 2_500, palette=palette, number=number)

    yield Progress(percent=0, message="Painting the ground")
    ground = _ground(request, options, prompt)
    letter(ground, prompt, top=0.7, bottom=0.95)
    yield from _render_frames(ground, draw_wanderers, duration_ms=duration_ms)


def _check_speech_to_video(request: ProviderRequest) -> None:
    options = options_of(request, SpeechToVideoOptions)
    _check_ground(request, options)
    _duration_ms(file_of(request, "audio", options.audio))


def _render_speech_to_video(request: ProviderRequest) -> Rendering:
    options = options_of(request, SpeechToVideoOptions)
    prompt = prompt_of(request)
    recording = file_of(request, "audio", options.audio)
    duration_ms = _duration_ms(recording)
    yield Progress(percent=0, message="Listening to the recording")
    openings = loudness(bytes_of(recording), frames=_frames_in(duration_ms), frame_ms=FRAME_MS)
    ground = _ground(request, options, prompt)
    if prompt.strip():
        letter(ground, prompt, top=0.82, bottom=0.97)
    yield from _render_frames(ground, _mouth(options.size, openings), duration_ms=duration_ms)


def _check_ground(request: ProviderRequest, options: FilmOptions) -> None:
    if options.image is not None:
        check_picture(file_of(request, "image", options.image))


def _ground(request: ProviderRequest, options: FilmOptions, prompt: str) -> Image.Image:
    if options.image is None:
        return paint_ground(options.size, digest_of(prompt, options.seed))
    return ImageOps.fit(open_picture(bytes_of(file_of(request, "image", options.image))), options.size)


def _mouth(size: Size, openings: Sequence[float]) -> Callable[[Image.Image, int], None]:
    """Return what draws a mouth that is open as wide as the recording is loud."""
    x, y, half_width = size[0] // 2, size[1] * 6 // 10, min(size) // 6

    def draw_mouth(picture: Image.Image, at: int) -> None:
        half_height = max(1, round(half_width * openings[at]))
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        ImageDraw.Draw(picture).ellipse(box, fill=(70, 12, 24), outline=(214, 72, 84), width=3)

    return draw_mouth


def _render_frames(ground: Image.Image, draw: Callable[[Image.Image, int], None], *, duration_ms: int) -> Rendering:
    count = _frames_in(duration_ms)
    frames: list[bytes] = []
    while len(frames) < count:
        if len(frames) % FRAMES_PER_STEP == 0:
            yield Progress(percent=100 * len(frames) // count, message=f"Frame {len(frames) + 1} of {count}")
        picture = ground.copy()
        draw(picture, len(frames))
        frames.append(vp8_frame(picture))
    width, height = ground.size
    film = Film(frames=frames, width=width, height=height, duration_ms=duration_ms)
    yield MediaResult(
        kind="video",
        media_type="video/webm",
        content=write_webm(film),
        width=width,
        height=height,
        duration_ms=duration_ms,
    )


def _frames_in(duration_ms: int) -> int:
    return -(-duration_ms // FRAME_MS)


def _duration_ms(recording: InputFile) -> int:
    duration_ms = recording.duration_ms
    if not duration_ms or duration_ms > MAX_SPOKEN_FILM_MS:
        known = "is not known" if not duration_ms else f"is above {MAX_SPOKEN_FILM_MS // 1_000} s"
        raise rejected(f"the length of the recording {known}")
    return duration_ms


VIDEO: Final = Craft(_check_video, _render_video)
SPEECH_TO_VIDEO: Final = Craft(_check_speech_to_video, _render_speech_to_video)
