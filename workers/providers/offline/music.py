"""Mode `music`: chords, and a tune above them, that the prompt decides.

With lyrics each word is a sung note of its own; without them, and in an instrumental, the tune is plucked. A cover
takes its tune from the bytes of the recording.
"""

import hashlib
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from workers.providers.interface import MediaResult, Progress, ProviderRequest
from workers.providers.offline.craft import Craft, Rendering, bytes_of, file_of, prompt_of
from workers.providers.offline.drawing import digest_of
from workers.providers.offline.options import MAX_SONG_S, MusicOptions, options_of, rejected
from workers.providers.offline.waves import MEDIA_TYPE, SAMPLE_RATE, mixed, silence, tone, write_wav

BEATS_PER_BAR: Final = 4
USUAL_DURATION_MS: Final = 15_000
LOWEST_HZ: Final = 110.0
_CHORD_VOLUME: Final = 3_600
_TUNE_VOLUME: Final = 12_000
_BEAT_SAMPLES: Final = (9_450, 11_025, 13_230)
"""140, 120 and 100 beats a minute."""

_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""Major and natural minor, in semitones above the root."""

_PROGRESSIONS: Final = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4))
"""The degrees on which the chords of four bars stand."""

_PLUCKED: Final = (1.0, 0.5, 0.25)
_SUNG: Final = (1.0, 0.7, 0.5, 0.3)


def _check(request: ProviderRequest) -> None:
    options = options_of(request, MusicOptions)
    if options.variant == "cover":
        if options.audio is None:
            raise rejected("a recording to cover is needed")
        _duration_ms(request, options)
    elif options.variant == "lyrics" and not options.lyrics.strip():
        raise rejected("lyrics are needed")
    elif not "".join((prompt_of(request), options.style, options.lyrics)).strip():
        raise rejected("a prompt is needed")


def _render(request: ProviderRequest) -> Rendering:
    options = options_of(request, MusicOptions)
    heard = "" if options.audio is None else _digest_of_file(request, options.audio)
    words = [] if options.variant == "instrumental" else options.lyrics.split()
    seen = "\n".join((prompt_of(request), options.title, options.style, options.lyrics, heard))
    song = _Song(digest_of(seen, options.seed), words, is_low=options.vocal_gender == "male")
    duration_ms = _duration_ms(request, options)
    wanted = duration_ms * SAMPLE_RATE // 1_000
    samples = array("h")
    bar = 0
    while len(samples) < wanted:
        percent = 100 * len(samples) // wanted
        yield Progress(percent=percent, message=f"Playing second {len(samples) // SAMPLE_RATE + 1}")
        samples.extend(song.bar(bar))
        bar += 1
    del samples[wanted:]
    yield MediaResult(kind="audio", media_type=MEDIA_TYPE, content=write_wav(samples), duration_ms=duration_ms)


def _duration_ms(request: ProviderRequest, options: MusicOptions) -> int:
    """Return how long it plays: as was asked for, a cover else as long as what it covers."""
    if options.duration_s is not None:
        return options.duration_s * 1_000
    covered = None if options.audio is None else file_of(request, "audio", options.audio).duration_ms
    if covered is not None and covered > MAX_SONG_S * 1_000:
        raise rejected(f"the recording is longer than {MAX_SONG_S} s")
    return covered or USUAL_DURATION_MS


def _digest_of_file(request: ProviderRequest, media_id: str) -> str:
    return hashlib.sha256(bytes_of(file_of(request, "audio", media_id))).hexdigest()


class _Song:
    """A tune without an end, bar by bar."""

    def __init__(self, digest: bytes, words: Sequence[str], *, is_low: bool) -> None:
        self._digest = digest
        self._words = words
        self._voice_octave = 0 if is_low else 1
        self._root_hz = LOWEST_HZ * 2 ** (digest[0] % 12 / 12)
        self._scale = _SCALES[digest[1] % len(_SCALES)]
        self._progression = _PROGRESSIONS[digest[2] % len(_PROGRESSIONS)]
        self._beat_samples = _BEAT_SAMPLES[digest[3] % len(_BEAT_SAMPLES)]

    def bar(self, number: int) -> "array[int]":
        degree = self._progression[number % len(self._progression)]
        chord = mixed(*(self._note(degree + third, _CHORD_VOLUME, _PLUCKED) for third in (0, 2, 4)))
        samples = array("h")
        for beat in range(number * BEATS_PER_BAR, (number + 1) * BEATS_PER_BAR):
            samples.extend(mixed(chord, self._tune(beat, degree)))
        return samples

    def _tune(self, beat: int, chord_degree: int) -> "array[int]":
        octave = len(self._scale)
        if self._words:
            word = self._words[beat % len(self._words)]
            step = hashlib.sha256(word.casefold().encode()).digest()[0] % octave
            return self._note(self._voice_octave * octave + step, _TUNE_VOLUME, _SUNG, vibrato=0.6)
        chance = self._digest[4 + beat % 28]
        if chance < 32:
            return silence(self._beat_samples)
        return self._note(octave + chord_degree + (0, 2, 4, 1)[chance % 4], _TUNE_VOLUME, _PLUCKED)

    def _note(self, degree: int, volume: int, overtones: tuple[float, ...], vibrato: float = 0.0) -> "array[int]":
        octaves, step = divmod(degree, len(self._scale))
        semitones = 12 * octaves + self._scale[step]
        return _note(self._root_hz * 2 ** (semitones / 12), self._beat_samples, volume, overtones, vibrato)


@lru_cache(maxsize=64)
def _note(frequency_hz: float, samples: int, volume: int, overtones: tuple[float, ...], vibrato: float) -> "array[int]":
    """Return one note. A song has few, many times; what comes out is only ever read."""
    return tone(frequency_hz, samples, volume=volume, overtones=overtones, vibrato=vibrato)


MUSIC: Final = Craft(_check, _render)
