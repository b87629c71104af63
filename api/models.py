"""The catalogue: which models callers may use at what price, and what administrators do to it."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import get, post, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from api.answers import Answer
from api.cursors import Page
from api.fields import CreditsOrNone, Moment, credits_of, moment_us, parse_credits_or_zero
from api.idempotency import once
from api.principal import ADMINS, AUDITORS, EVERYONE
from api.requests import ApiRequest
from ledger.rows import from_us
from workers.catalogue import Model, ModelDefinition, PriceVersion
from workers.pricing import Prices

Tokens = Annotated[int, Meta(ge=1, le=100_000_000)]
ModelName = Annotated[str, PathParameter(max_length=100)]


class PriceFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices per million tokens. Cached input costs what input costs where nothing is said."""

    input_per_mtok: CreditsOrNone
    output_per_mtok: CreditsOrNone
    cache_read_per_mtok: CreditsOrNone | None = None
    cache_write_per_mtok: CreditsOrNone | None = None

    def prices(self) -> Prices:
        """Return the prices in millionths of their unit.

        Raises:
            InvalidAmount: one of them is not a decimal number, or too large.
        """
        return Prices(
            input_per_mtok=parse_credits_or_zero(self.input_per_mtok),
            output_per_mtok=parse_credits_or_zero(self.output_per_mtok),
            cache_read_per_mtok=parse_credits_or_zero(self.cache_read_per_mtok or self.input_per_mtok),
            cache_write_per_mtok=parse_credits_or_zero(self.cache_write_per_mtok or self.input_per_mtok),
        )


NO_COST = PriceFields(input_per_mtok="0", output_per_mtok="0")


class PriceRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new price version: `prices` in credits, `costs` (what the provider takes from us) in US dollars."""

    prices: PriceFields
    costs: PriceFields = NO_COST
    valid_from: Moment | None = None


class ModelRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is, apart from its name and its price."""

    provider: Annotated[str, Meta(min_length=1, max_length=50)]
    upstream_name: Annotated[str, Meta(min_length=1, max_length=200)]
    context_tokens: Tokens
    default_output_tokens: Tokens
    max_output_tokens: Tokens
    mode: Literal["text"] = "text"
    enabled: bool = True

    def definition(self, name: str) -> ModelDefinition:
        """Return the definition as the catalogue takes it."""
        return ModelDefinition(
            name=name,
            provider=self.provider,
            upstream_name=self.upstream_name,
            mode=self.mode,
            context_tokens=self.context_tokens,
            default_output_tokens=self.default_output_tokens,
            max_output_tokens=self.max_output_tokens,
            enabled=self.enabled,
        )


class ModelAnswer(Struct, frozen=True, kw_only=True):
    """A model that the caller may use, with the price that is valid now, in credits per million tokens."""

    name: str
    provider: str
    mode: str
    context_tokens: int
    default_output_tokens: int
    max_output_tokens: int
    price_version: int
    prices: PriceFields


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
    """List the models that can be used here, with their prices; always in one page."""
    offered = await request.services.generations.catalogue.models()
    return Answer(Page([model_answer(model) for model in offered], None))


@put("/v1/models/{name:str}", opt={"roles": ADMINS})
async def define(name: ModelName, data: JSONBody[ModelRequest], request: ApiRequest) -> Answer[ModelDefinition]:
    """Add a model, or change what it is; it is offered once it has a price. Who did so is recorded."""
    definition = data.definition(name)
    catalogue = request.services.generations.catalogue
    await catalogue.upsert_model(definition, changed_by=request.principal.actor)
    return Answer(definition)


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
        mode=definition.mode,
        context_tokens=definition.context_tokens,
        default_output_tokens=definition.default_output_tokens,
        max_output_tokens=definition.max_output_tokens,
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
    return PriceFields(
        input_per_mtok=credits_of(prices.input_per_mtok),
        output_per_mtok=credits_of(prices.output_per_mtok),
        cache_read_per_mtok=credits_of(prices.cache_read_per_mtok),
        cache_write_per_mtok=credits_of(prices.cache_write_per_mtok),
    )
