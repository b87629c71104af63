"""Sound as 16-bit samples: tones, WAV files, and how loud a recording is."""

import io
import math
import sys
import wave
from array import array
from collections.abc import Sequence
from typing import Final

SAMPLE_RATE: Final = 22_050
MEDIA_TYPE: Final = "audio/wav"

_SAMPLES_PER_FRAME: Final = 64
"""As many samples of a frame as it takes to see roughly how loud it is."""
_LOUDEST: Final = 32_767
_ATTACK_SAMPLES: Final = 400
_RELEASE_SAMPLES: Final = 900


def tone(
    frequency_hz: float, samples: int, *, volume: int, overtones: Sequence[float] = (1.0,), vibrato: float = 0.0
) -> "array[int]":
    """Return one note. It swells and fades, so that notes beside each other do not click.

    `overtones` are the strengths of the multiples of the frequency, which together reach `volume`.
    """
    scale = volume / sum(overtones)
    turn = 2 * math.pi * frequency_hz / SAMPLE_RATE
    wobble = 2 * math.pi * 5.5 / SAMPLE_RATE
    note = array("h")
    for at in range(samples):
        phase = turn * at + vibrato * math.sin(wobble * at)
        level = sum(strength * math.sin((1 + number) * phase) for number, strength in enumerate(overtones))
        edge = min(1.0, at / _ATTACK_SAMPLES, (samples - at) / _RELEASE_SAMPLES)
        note.append(round(scale * edge * level))
    return note


def mixed(*voices: "array[int]") -> "array[int]":
    """Return voices of the same length sounding together; their volumes must leave room for each other."""
    return array("h", map(sum, zip(*voices, strict=True)))


def silence(samples: int) -> "array[int]":
    """Return so many samples of nothing."""
    return array("h", bytes(2 * samples))


def write_wav(samples: "array[int]") -> bytes:
    """Return the samples as a WAV file with one channel."""
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def loudness(recording: bytes, *, frames: int, frame_ms: int) -> list[float]:
    """Return how loud each frame of a recording is, from 0 to 1.

    Only WAV with 16 bits is listened to. Of any other recording the bytes stand for how loud it is, which looks like
    talking and is not.
    """
    try:
        with wave.open(io.BytesIO(recording), "rb") as file:
            step = file.getframerate() * file.getnchannels() * frame_ms // 1_000
            samples = array("h")
            if file.getsampwidth() == samples.itemsize:
                samples.frombytes(_whole(file.readframes(file.getnframes())))
                return _levels(samples, frames=frames, step=step)
    except (wave.Error, EOFError):
        pass
    return [recording[at * len(recording) // frames] / 255 if recording else 0.0 for at in range(frames)]


def _levels(samples: "array[int]", *, frames: int, step: int) -> list[float]:
    if sys.byteorder == "big":
        samples.byteswap()
    apart = max(1, step // _SAMPLES_PER_FRAME)
    peaks = [max(map(abs, samples[at * step : (at + 1) * step : apart]), default=0) for at in range(frames)]
    return [min(1.0, peak / _LOUDEST) for peak in peaks]


def _whole(content: bytes) -> bytes:
    return content[: len(content) - len(content) % 2]
