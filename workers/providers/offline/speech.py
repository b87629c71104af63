"""Mode `speech`: a tone for every word, always the same for the same word, so that one hears where words come back."""

import hashlib
from array import array
from functools import lru_cache
from typing import Final

from workers.providers.interface import MediaResult, Progress, ProviderRequest
from workers.providers.offline.craft import Craft, Rendering, needs_prompt, prompt_of
from workers.providers.offline.options import (
    MAX_SPOKEN_CHARACTERS,
    MAX_SPOKEN_WORDS,
    SpeechOptions,
    options_of,
    rejected,
)
from workers.providers.offline.waves import MEDIA_TYPE, SAMPLE_RATE, silence, tone, write_wav

WORD_MS: Final = 300
"""At normal speed, of which a fifth is silence."""

WORDS_PER_STEP: Final = 8

_VOLUME: Final = 16_000
_VOICES_HZ: Final = {"low": 98.0, "middle": 147.0, "high": 220.0}


def _check(request: ProviderRequest) -> None:
    needs_prompt(request)
    options_of(request, SpeechOptions)
    text = prompt_of(request)
    if len(text) > MAX_SPOKEN_CHARACTERS or len(text.split()) > MAX_SPOKEN_WORDS:
        raise rejected(f"the text has more than {MAX_SPOKEN_CHARACTERS} characters or {MAX_SPOKEN_WORDS} words")


def _render(request: ProviderRequest) -> Rendering:
    options = options_of(request, SpeechOptions)
    lowest_hz = _VOICES_HZ[options.voice]
    words = prompt_of(request).split()
    word_ms = round(WORD_MS / options.speed)
    samples = array("h")
    for at, word in enumerate(words):
        if at % WORDS_PER_STEP == 0:
            yield Progress(percent=100 * at // len(words), message=f"Speaking word {at + 1} of {len(words)}")
        samples.extend(_word(word.casefold(), lowest_hz, word_ms * SAMPLE_RATE // 1_000))
    duration_ms = word_ms * len(words)
    yield MediaResult(kind="audio", media_type=MEDIA_TYPE, content=write_wav(samples), duration_ms=duration_ms)


@lru_cache(maxsize=64)
def _word(word: str, lowest_hz: float, samples: int) -> "array[int]":
    """Return the sound of one word: pitch and colour are its own. What comes out is only ever read."""
    digest = hashlib.sha256(word.encode()).digest()
    overtones = (1.0, digest[1] / 255, digest[2] / 255, digest[3] / 512)
    spoken = samples * 4 // 5
    note = tone(lowest_hz * 2 ** (digest[0] % 13 / 12), spoken, volume=_VOLUME, overtones=overtones)
    note.extend(silence(samples - spoken))
    return note


SPEECH: Final = Craft(_check, _render)
