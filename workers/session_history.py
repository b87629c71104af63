"""What a session's messages are made of, and how much of them the next answer is given. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct

from workers.providers import Attachment, MediaKind, Message, estimate_output_tokens

ESTIMATED_TOKENS_PER_MESSAGE: Final = 4
ESTIMATED_TOKENS_PER_ATTACHMENT: Final = 1_600
"""About a picture of the size that providers scale larger ones down to."""

MAX_MEDIA: Final = 20
"""How many pictures and recordings of earlier messages go along."""

MEDIA: Final[tuple[MediaKind, ...]] = ("image", "audio", "video")

Speaker: TypeAlias = Literal["user", "assistant"]
Part: TypeAlias = dict[str, Any]
"""One piece of a message: `{type: text, text}`, `{type: image | audio | video, media_id, …}`, `{type: artifact, …}`
such as a code block, or `{type: structured, value}`."""


_WORD: Final = re.compile(r"\S{1,64}")


class StoredMedia(Struct, frozen=True):
    """What a session needs to know of a media object that is there."""

    kind: MediaKind
    size_bytes: int


class SessionMessage(Struct, frozen=True, kw_only=True):
    """Something that was said. With `partial` it broke off."""

    ordinal: int
    role: Speaker
    parts: tuple[Part, ...]
    partial: bool = False


def parts_of_message(message: Message, kinds: Mapping[str, MediaKind]) -> tuple[Part, ...]:
    """Return the parts of what a user says; `kinds` tells what each attachment is."""
    media = [{"type": kinds[each.media_id], "media_id": each.media_id} for each in message.attachments]
    return ({"type": "text", "text": message.content}, *media)


def parts_of_answer(
    text: str, *, artifacts: Iterable[Mapping[str, Any]] = (), structured: object = None
) -> tuple[Part, ...]:
    """Return the parts of what a model answered; none if it answered nothing."""
    found: list[Part] = [{"type": "text", "text": text}] if text else []
    if structured is not None:
        found.append({"type": "structured", "value": structured})
    for artifact in artifacts:
        kind = artifact.get("kind")
        found.append({**artifact, "type": kind if kind in MEDIA else "artifact"})
    return tuple(found)


def encode_parts(parts: Sequence[Part]) -> bytes:
    """Return the bytes to keep."""
    return msgspec.json.encode(parts)


def decode_parts(body: bytes) -> tuple[Part, ...]:
    """Read what `encode_parts` returned."""
    return msgspec.json.decode(body, type=tuple[Part, ...])


def conversation(
    history: Sequence[SessionMessage],
    message: Message,
    *,
    system: str | None,
    budget_tokens: int,
    count: Callable[[Message], int] | None = None,
) -> tuple[Message, ...]:
    """Return what the model is given: the system text, the newest of the history that fits, and the new message.

    The system text and the new message always go in, whether they fit or not; the history begins with a user's turn.
    An answer that broke off and was asked for again is left out, for the one that followed it.
    """
    counted = estimate_message_tokens if count is None else count
    fixed = (() if not system else (Message(role="system", content=system),), (message,))
    left = budget_tokens - sum(counted(said) for group in fixed for said in group)
    kept: list[Message] = []
    for said in reversed(_turns(history)):
        left -= counted(said)
        if left < 0:
            break
        kept.append(said)
    while kept and kept[-1].role != "user":
        kept.pop()
    return (*fixed[0], *reversed(kept), *fixed[1])


def with_media(
    messages: Sequence[Message],
    stored: Mapping[str, StoredMedia],
    *,
    kinds: Collection[MediaKind],
    budget_bytes: int,
) -> tuple[Message, ...]:
    """Return the conversation with the media that can go along: the newest that are there, of these kinds, and fit.

    Those of the last message stay, whatever they are. In place of one that is left out its message says so, as in
    `[image]`.
    """
    left_bytes, left = budget_bytes, MAX_MEDIA
    kept: list[Message] = list(messages[-1:])
    for message in reversed(messages[:-1]):
        attachments: list[Attachment] = []
        content = message.content
        for attachment in message.attachments:
            media = stored.get(attachment.media_id)
            if media is not None and media.kind in kinds and left and media.size_bytes <= left_bytes:
                left, left_bytes = left - 1, left_bytes - media.size_bytes
                attachments.append(attachment)
            else:
                content = f"{content}\n\n[{'file' if media is None else media.kind}]".lstrip()
        kept.append(Message(message.role, content, tuple(attachments)))
    return tuple(reversed(kept))


def estimate_message_tokens(message: Message) -> int:
    """Estimate what a message comes to, as providers do for a whole conversation; for some a word is a token."""
    attached = len(message.attachments) * ESTIMATED_TOKENS_PER_ATTACHMENT
    words = sum(1 for _ in _WORD.finditer(message.content))
    return max(estimate_output_tokens(message.content), words) + ESTIMATED_TOKENS_PER_MESSAGE + attached


def _turns(history: Sequence[SessionMessage]) -> list[Message]:
    turns: list[Message] = []
    for place, said in enumerate(history):
        follower = history[place + 1] if place + 1 < len(history) else None
        if said.partial and follower is not None and follower.role == "assistant":
            continue
        turn = _as_message(said)
        if turn.content or turn.attachments:
            turns.append(turn)
    return turns


def _as_message(said: SessionMessage) -> Message:
    texts: list[str] = []
    attachments: list[Attachment] = []
    for part in said.parts:
        kind = part.get("type")
        if kind == "text":
            texts.append(cast("str", part["text"]))
        elif kind == "structured":
            texts.append(msgspec.json.encode(part["value"]).decode())
        elif kind in MEDIA and said.role == "user":
            attachments.append(Attachment(media_id=cast("str", part["media_id"])))
        elif kind in MEDIA:
            texts.append(f"[{kind}]")
    return Message(role=said.role, content="\n\n".join(texts), attachments=tuple(attachments))
