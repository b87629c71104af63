"""What a model is: which provider runs it under which name, in which modes, within which bounds, and who may use it."""

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from workers.errors import InvalidModel
from workers.modes import MODES, check_model_parameters
from workers.pricing import Prices
from workers.providers import MediaKind, Timeouts

MAX_NAME_CHARACTERS: Final = 100
MAX_TOKENS: Final = 100_000_000
MAX_FALLBACKS: Final = 5
MAX_PARAMETERS: Final = 50
MAX_DEFINITION_BYTES: Final = 64 * 1024
MAX_TIMEOUT_S: Final = 2_400.0
"""Work ends well before its freeze expires."""

Tier: TypeAlias = Literal["free", "paid"]
TIERS: Final[tuple[Tier, ...]] = ("free", "paid")

Seconds = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)]


class ModelTimeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time-outs of one model, where those of the mode do not fit it."""

    connect_s: Seconds | None = None
    first_token_s: Seconds | None = None
    gap_s: Seconds | None = None
    total_s: Seconds | None = None

    def over(self, usual: Timeouts) -> Timeouts:
        """Return the time-outs with what is said here in place of the usual."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(usual, **said)


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is, apart from its price."""

    name: str
    provider: str
    upstream_name: str
    """What its provider calls it."""
    modes: tuple[str, ...] = ("chat",)
    """What it can be asked for; the first is meant where a request does not say."""
    context_tokens: int = 32_768
    default_output_tokens: int = 1
    """How much it may write where the caller does not say."""
    max_output_tokens: int = 1
    """How much it may write at all; a caller who asks for more gets this."""
    attachments: tuple[MediaKind, ...] = ()
    """What may be attached to a message."""
    parameters: dict[str, dict[str, Any]] = {}
    """JSON Schema of each parameter that it takes in another way than its mode says, or that only it knows."""
    input_names: dict[str, str] = {}
    """What its provider calls a parameter, where it is another name than ours."""
    fixed_inputs: dict[str, Any] = {}
    """What its provider is told with every call."""
    fallbacks: tuple[str, ...] = ()
    """The models that take over, in this order, when its provider fails before anything was delivered."""
    tiers: tuple[Tier, ...] = TIERS
    """Whose accounts may use it."""
    timeouts: ModelTimeouts = ModelTimeouts()
    cache_hit_percent: Annotated[int, Meta(ge=0, le=100)] = 10
    """How much of the price an answer from the prompt cache costs."""
    enabled: bool = True

    def check(self) -> None:
        """Refuse a definition that makes no sense.

        Raises:
            InvalidModel: names the field.
        """
        if not 1 <= len(self.name) <= MAX_NAME_CHARACTERS or not self.name.isprintable():
            raise InvalidModel("name", f"must have 1 to {MAX_NAME_CHARACTERS} printable characters")
        if not self.upstream_name or not self.upstream_name.isprintable():
            raise InvalidModel("upstream_name", "must not be empty")
        self._check_modes()
        self._check_tokens()
        if len(self.parameters) > MAX_PARAMETERS:
            raise InvalidModel("parameters", f"at most {MAX_PARAMETERS}")
        check_model_parameters(self.parameters)
        if self.name in self.fallbacks or len(set(self.fallbacks)) != len(self.fallbacks):
            raise InvalidModel("fallbacks", "must be other models, each once")
        if len(self.fallbacks) > MAX_FALLBACKS:
            raise InvalidModel("fallbacks", f"at most {MAX_FALLBACKS}")
        if not self.tiers:
            raise InvalidModel("tiers", "must not be empty; disable the model instead")
        if len(msgspec.json.encode(self)) > MAX_DEFINITION_BYTES:
            raise InvalidModel("definition", f"must have at most {MAX_DEFINITION_BYTES} bytes")

    def _check_modes(self) -> None:
        if not self.modes or len(set(self.modes)) != len(self.modes):
            raise InvalidModel("modes", "must be one or more, each once")
        for mode in self.modes:
            if mode not in MODES:
                raise InvalidModel("modes", f"must be of {', '.join(MODES)}")

    def _check_tokens(self) -> None:
        if not 1 <= self.context_tokens <= MAX_TOKENS:
            raise InvalidModel("context_tokens", f"must be from 1 to {MAX_TOKENS}")
        if not 1 <= self.max_output_tokens <= MAX_TOKENS:
            raise InvalidModel("max_output_tokens", f"must be from 1 to {MAX_TOKENS}")
        if not 1 <= self.default_output_tokens <= self.max_output_tokens:
            raise InvalidModel("default_output_tokens", "must be from 1 to max_output_tokens")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it is now, with the price that is valid now."""

    definition: ModelDefinition
    version: int
    price_version: int
    prices: Prices
    """In microcredits."""
    costs: Prices
    """What its provider takes from us, in millionths of a US dollar."""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was made by one change, and who made it."""

    version: int
    definition: ModelDefinition
    created_at_us: int
    created_by: str


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price, and who set it."""

    version: int
    prices: Prices
    costs: Prices
    valid_from_us: int
    created_at_us: int
    created_by: str
