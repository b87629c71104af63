"""Why a generation or a change of the catalogue is refused. `code` is public API; the message is for people."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class GenerationError(Exception):
    """Anything that admission, cancel, retry or the catalogue refuses."""

    code: ClassVar[str] = "generation_error"


class ModelNotFound(GenerationError):
    """The catalogue has no such model, or this installation does not offer it."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"there is no model {model[:100]!r} here")
        self.model = model


class InvalidInput(GenerationError):
    """The input of a generation is not one that this model takes."""

    code = "invalid_input"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InputTooLong(GenerationError):
    """Input and output together may not fit into the model's context."""

    code = "input_too_long"

    def __init__(self, *, input_tokens: int, context_tokens: int) -> None:
        super().__init__(f"the input may have {input_tokens} tokens; this model's context has {context_tokens}")
        self.input_tokens = input_tokens
        self.context_tokens = context_tokens


class TierRequired(GenerationError):
    """The model is not for accounts of this tier."""

    code = "tier_required"

    def __init__(self, model: str, *, tiers: Sequence[str]) -> None:
        super().__init__(f"{model} is for {' and '.join(tiers)} accounts")
        self.tiers = tuple(tiers)


class GenerationNotFound(GenerationError):
    """No generation has this id, or it belongs to someone else."""

    code = "generation_not_found"

    def __init__(self, generation_id: UUID) -> None:
        super().__init__(f"no generation {generation_id}")
        self.generation_id = generation_id


class BatchNotFound(GenerationError):
    """No batch has this id, or it belongs to someone else."""

    code = "batch_not_found"

    def __init__(self, batch_id: UUID) -> None:
        super().__init__(f"no batch {batch_id}")
        self.batch_id = batch_id


class GenerationNotRetryable(GenerationError):
    """Only a failed or cancelled generation can be retried."""

    code = "generation_not_retryable"

    def __init__(self, generation_id: UUID, *, status: str) -> None:
        super().__init__(f"generation {generation_id} is {status}; only a failed or cancelled one can be retried")
        self.generation_id = generation_id
        self.status = status


class InvalidCursor(GenerationError):
    """A cursor of a list is not one that this list gave out."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("this cursor was not given out by this list")


class InvalidPrice(GenerationError):
    """A price is negative, absurdly high or not a whole number of microcredits."""

    code = "invalid_price"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class InvalidModel(GenerationError):
    """What a model is said to be makes no sense."""

    code = "invalid_model"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class InvalidTemplate(GenerationError):
    """What a template is said to be makes no sense."""

    code = "invalid_template"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class TemplateNotFound(GenerationError):
    """There is no template of this name and version, or it is not enabled."""

    code = "template_not_found"

    def __init__(self, template: str) -> None:
        super().__init__(f"there is no template {template[:120]!r}")
        self.template = template[:120]


class SessionNotFound(GenerationError):
    """No session has this id, or it belongs to someone else."""

    code = "session_not_found"

    def __init__(self, session_id: UUID) -> None:
        super().__init__(f"no session {session_id}")
        self.session_id = session_id


class SessionBusy(GenerationError):
    """An answer is still being written in this session, or somebody else has just said something in it."""

    code = "session_busy"

    def __init__(self, session_id: UUID) -> None:
        super().__init__(f"session {session_id} is busy; send the message again once its generation has ended")
        self.session_id = session_id
