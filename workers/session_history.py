"""What a session's messages are made of, and how much of them the next answer is given. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct

from workers.providers import Attachment, MediaKind, Message, estimate_output_tokens

ESTIMATED_TOKENS_PER_MESSAGE: Final = 4
ESTIMATED_TOKENS_PER_ATTACHMENT: Final = 1_600
"""About a picture of the size that providers scale larger ones down to."""

MEDIA: Final[tuple[MediaKind, ...]] = ("image", "audio", "video")

Speaker: TypeAlias = Literal["user", "assistant"]
Part: TypeAlias = dict[str, Any]
"""One piece of a message: `{type: text, text}`, `{type: image | audio | video, media_id, …}`, `{type: artifact, …}`
such as a code block, or `{type: structured, value}`."""


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


def estimate_message_tokens(message: Message) -> int:
    """Estimate what a message comes to, as `workers.providers.tokens` does for a whole conversation."""
    attached = len(message.attachments) * ESTIMATED_TOKENS_PER_ATTACHMENT
    return estimate_output_tokens(message.content) + ESTIMATED_TOKENS_PER_MESSAGE + attached


def _turns(history: Sequence[SessionMessage]) -> list[Message]:
    turns: list[Message] = []
    for place, said in enumerate(history):
        follower = history[place + 1] if place + 1 < len(history) else None
        if said.partial and follower is not None and follower.role == "assistant":
            continue
        turn = _as_message(said)
        if turn.content:
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
