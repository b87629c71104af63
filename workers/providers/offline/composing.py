"""Modes `chat` and `compose` without a model: the request comes back, in a form that says so."""

import re
from typing import Final

from workers.providers.interface import InputFile, Message, ProviderRequest

MAX_TITLE_WORDS: Final = 8

_SENTENCE: Final = re.compile(r"[^.!?\n]{1,2000}[.!?]{0,3}")


def answer_chat(request: ProviderRequest) -> str:
    """Return the last message, after a list of what came with it."""
    last = request.messages[-1]
    attached = _attachments(last, request)
    if not attached:
        return last.content
    return f"No model is behind this answer. You attached:\n{attached}\n{last.content}"


def compose(request: ProviderRequest) -> str:
    """Return a page about the brief: a title, what this is, the brief by its sentences, and how long it was."""
    brief = request.messages[-1].content
    sentences = [found.strip() for found in _SENTENCE.findall(brief) if found.strip()]
    title = " ".join((sentences[0] if sentences else brief).rstrip(".!?").split()[:MAX_TITLE_WORDS])
    points = "".join(f"{number}. {sentence}\n" for number, sentence in enumerate(sentences, start=1))
    return (
        f"# {title}\n\n"
        "This page was put together offline. No model is behind it: it repeats what was asked for.\n\n"
        f"{points}\n"
        f"The brief has {_counted(len(brief.split()), 'word')} in {_counted(len(sentences), 'sentence')}.\n"
    )


def _attachments(message: Message, request: ProviderRequest) -> str:
    """Return a list of what came with a message, one line each."""
    files = (request.files.get(attachment.media_id) for attachment in message.attachments)
    return "".join(f"- {_described(file)}\n" for file in files if file is not None)


def _described(file: InputFile) -> str:
    """Return what is known about a file: `image, image/png, 640x480, 1024 bytes`."""
    known = [file.kind, file.media_type]
    if file.width is not None and file.height is not None:
        known.append(f"{file.width}x{file.height}")
    if file.duration_ms is not None:
        known.append(f"{file.duration_ms} ms")
    return ", ".join([*known, _counted(file.size_bytes, "byte")])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
