"""The catalogue: which models callers may use at what price, and what administrators do to it."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import get, post, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from api.answers import Answer
from api.cursors import Page
from api.fields import CreditsOrNone, Moment, credits_of, moment_us, parse_credits_or_zero
from api.idempotency import once
from api.ownership import own_account
from api.principal import ADMINS, AUDITORS, EVERYONE, Role
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.models import (
    MAX_FALLBACKS,
    TIERS,
    Model,
    ModelDefinition,
    ModelTimeouts,
    PriceVersion,
    Tier,
)
from workers.modes import MODES
from workers.pricing import Prices
from workers.providers import MediaKind

Mode: TypeAlias = Annotated[str, Meta(max_length=50)]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
ModelName = Annotated[str, PathParameter(max_length=100)]


class PriceFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates: of tokens per million, of media by what comes out. What is not given is free.

    Cached input costs what input costs where nothing else is said.
    """

    input_per_mtok: CreditsOrNone = "0"
    output_per_mtok: CreditsOrNone = "0"
    cache_read_per_mtok: CreditsOrNone | None = None
    cache_write_per_mtok: CreditsOrNone | None = None
    per_image: CreditsOrNone = "0"
    per_megapixel: CreditsOrNone = "0"
    per_second: CreditsOrNone = "0"
    per_kchar: CreditsOrNone = "0"
    per_job: CreditsOrNone = "0"
    per_compute_second: CreditsOrNone = "0"

    def prices(self) -> Prices:
        """Return the rates in millionths of their unit.

        Raises:
            InvalidAmount: one of them is not a decimal number, or too large.
        """
        said = msgspec.structs.asdict(self)
        cached = {name: said[name] or self.input_per_mtok for name in ("cache_read_per_mtok", "cache_write_per_mtok")}
        return Prices(**{name: parse_credits_or_zero(text) for name, text in {**said, **cached}.items()})


NO_COST = PriceFields()


class PriceRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new price version: `prices` in credits, `costs` (what the provider takes from us) in US dollars."""

    prices: PriceFields
    costs: PriceFields = NO_COST
    valid_from: Moment | None = None


class ModelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is, apart from its name and its price."""

    provider: Annotated[str, Meta(min_length=1, max_length=50)]
    upstream_name: Annotated[str, Meta(min_length=1, max_length=200)]
    modes: Annotated[tuple[Mode, ...], Meta(min_length=1, max_length=len(MODES))] = ("chat",)
    context_tokens: Tokens = 32_768
    default_output_tokens: Tokens = 1
    max_output_tokens: Tokens = 1
    attachments: Annotated[tuple[MediaKind, ...], Meta(max_length=3)] = ()
    parameters: dict[str, dict[str, Any]] = {}
    """JSON Schema of each parameter that it takes in another way than its mode says, or that only it knows."""
    input_names: dict[str, str] = {}
    fixed_inputs: dict[str, Any] = {}
    fallbacks: Annotated[tuple[str, ...], Meta(max_length=MAX_FALLBACKS)] = ()
    """The models that take over, in this order, when its provider fails before anything was delivered."""
    tiers: Annotated[tuple[Tier, ...], Meta(min_length=1, max_length=2)] = TIERS
    timeouts: ModelTimeouts = ModelTimeouts()
    cache_hit_percent: Annotated[int, Meta(ge=0, le=100)] = 10
    enabled: bool = True

    def definition(self, name: str) -> ModelDefinition:
        """Return the definition as the catalogue takes it."""
        return ModelDefinition(name=name, **{field: getattr(self, field) for field in self.__struct_fields__})


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """A model that the caller may use, with the price that is valid now, in credits."""

    name: str
    provider: str
    mode: str
    """The mode that is meant where a request does not say."""
    modes: tuple[str, ...]
    context_tokens: int
    default_output_tokens: int
    max_output_tokens: int
    attachments: tuple[str, ...]
    parameters: dict[str, dict[str, Any]]
    fallbacks: tuple[str, ...]
    tiers: tuple[str, ...]
    version: int
    price_version: int
    prices: PriceFields


class ModelVersionAnswer(Struct, frozen=True, kw_only=True):
    """What a model was made by one change, who made it and when. It never changes."""

    version: int
    definition: ModelDefinition
    created_at: datetime
    created_by: str


class PriceVersionAnswer(Struct, frozen=True, kw_only=True):
    """One price version, who set it and when. It never changes."""

    version: int
    prices: PriceFields
    costs: PriceFields
    valid_from: datetime
    created_at: datetime
    created_by: str


@get("/v1/models", opt={"roles": EVERYONE})
async def list_offered(request: ApiRequest) -> Answer[Page[ModelAnswer]]:
    """List the models that the caller may use, with their prices; always in one page."""
    generations = request.services.generations
    offered = await generations.catalogue.models()
    if request.principal.role is Role.user:
        tier = await generations.tiers.of(own_account(request.principal))
        offered = tuple(model for model in offered if tier.name in model.definition.tiers)
    return Answer(Page([model_answer(model) for model in offered], None))


@put("/v1/models/{name:str}", opt={"roles": ADMINS})
async def define(name: ModelName, data: JSONBody[ModelRequest], request: ApiRequest) -> Answer[ModelDefinition]:
    """Add a model, or change what it is; it is offered once it has a price. Who did so is recorded."""
    definition = data.definition(name)
    catalogue = request.services.generations.catalogue
    await catalogue.upsert_model(definition, changed_by=request.principal.actor)
    return Answer(definition)


@get("/v1/models/{name:str}/versions", opt={"roles": AUDITORS})
async def list_versions(name: ModelName, request: ApiRequest) -> Answer[Page[ModelVersionAnswer]]:
    """List all versions of what a model is, newest first; always in one page."""
    history = await request.services.generations.catalogue.model_history(name)
    versions = [
        ModelVersionAnswer(
            version=each.version,
            definition=each.definition,
            created_at=from_us(each.created_at_us),
            created_by=each.created_by,
        )
        for each in history
    ]
    return Answer(Page(versions, None))


@get("/v1/models/{name:str}/prices", opt={"roles": AUDITORS})
async def list_prices(name: ModelName, request: ApiRequest) -> Answer[Page[PriceVersionAnswer]]:
    """List all price versions of a model, newest first; always in one page."""
    history = await request.services.generations.catalogue.price_history(name)
    return Answer(Page([price_version_answer(version) for version in history], None))


@post("/v1/models/{name:str}/prices", opt={"roles": ADMINS, "problems": (409,)})
async def set_price(name: ModelName, data: JSONBody[PriceRequest], request: ApiRequest) -> Answer[PriceVersionAnswer]:
    """Add the next price version of a model. What was admitted before keeps the price it was admitted at."""
    return await once(request, lambda _: add_price(name, data, request))


async def add_price(name: str, data: PriceRequest, request: ApiRequest) -> Answer[PriceVersionAnswer]:
    """Add a price version and show it."""
    version = await request.services.generations.catalogue.set_price(
        name,
        prices=data.prices.prices(),
        costs=data.costs.prices(),
        changed_by=request.principal.actor,
        valid_from_us=moment_us(data.valid_from),
    )
    return Answer(price_version_answer(version), status=201)


def model_answer(model: Model) -> ModelAnswer:
    """Show a model."""
    definition = model.definition
    return ModelAnswer(
        name=definition.name,
        provider=definition.provider,
        mode=definition.modes[0],
        modes=definition.modes,
        context_tokens=definition.context_tokens,
        default_output_tokens=definition.default_output_tokens,
        max_output_tokens=definition.max_output_tokens,
        attachments=definition.attachments,
        parameters=definition.parameters,
        fallbacks=definition.fallbacks,
        tiers=definition.tiers,
        version=model.version,
        price_version=model.price_version,
        prices=_price_fields(model.prices),
    )


def price_version_answer(version: PriceVersion) -> PriceVersionAnswer:
    """Show a price version."""
    return PriceVersionAnswer(
        version=version.version,
        prices=_price_fields(version.prices),
        costs=_price_fields(version.costs),
        valid_from=from_us(version.valid_from_us),
        created_at=from_us(version.created_at_us),
        created_by=version.created_by,
    )


def _price_fields(prices: Prices) -> PriceFields:
    return PriceFields(**{name: credits_of(rate) for name, rate in msgspec.structs.asdict(prices).items()})
