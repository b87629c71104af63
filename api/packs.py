"""The shop: what callers can buy at which price, and what administrators put into it."""

from typing import Annotated

from litestar import get, put
from litestar.params import JSONBody, PathParameter

from api.answers import Answer
from api.cursors import LIMIT_MAX, Page
from api.fields import END
from api.languages import wanted_language
from api.principal import ADMINS, AUDITORS, EVERYONE
from api.requests import ApiRequest
from api.shop_views import (
    InCountry,
    InCurrency,
    PackAnswer,
    PackVersionAnswer,
    PlanAnswer,
    PlanVersionAnswer,
    RegionAnswer,
    RegionVersionAnswer,
    pack_answer,
    pack_version_answer,
    plan_answer,
    plan_version_answer,
    region_answer,
    region_version_answer,
)
from workers.payments.catalogue import (
    PACK,
    PLAN,
    REGION,
    PackRequest,
    PlanRequest,
    RegionRequest,
    define_version,
    list_versions,
    newest_versions,
)
from workers.payments.catalogue.offers import offered

_NAME = r"[a-z0-9]([a-z0-9_-]{0,98}[a-z0-9])?"
ShopName = Annotated[
    str, PathParameter(max_length=100, pattern=rf"^{_NAME}{END}", schema_extra={"pattern": rf"^{_NAME}$"})
]


@get("/v1/packs", opt={"roles": EVERYONE, "problems": (422,)})
async def list_packs(
    request: ApiRequest, in_currency: InCurrency = None, in_country: InCountry = None
) -> Answer[Page[PackAnswer]]:
    """List the packs that are for sale in a currency to a country, the cheapest first; always in one page."""
    offers = await offered(request.services.database, PACK, currency=in_currency, country=in_country)
    language = wanted_language(request.scope["headers"])
    return Answer(Page([pack_answer(offer, language) for offer in offers], None))


@get("/v1/plans", opt={"roles": EVERYONE, "problems": (422,)})
async def list_plans(
    request: ApiRequest, in_currency: InCurrency = None, in_country: InCountry = None
) -> Answer[Page[PlanAnswer]]:
    """List the plans that are for sale in a currency to a country, the cheapest first; always in one page."""
    offers = await offered(request.services.database, PLAN, currency=in_currency, country=in_country)
    language = wanted_language(request.scope["headers"])
    return Answer(Page([plan_answer(offer, language) for offer in offers], None))


@get("/v1/regions", opt={"roles": EVERYONE})
async def list_regions(request: ApiRequest) -> Answer[Page[RegionAnswer]]:
    """List the regions that there are prices for, by name; always in one page."""
    regions = await newest_versions(request.services.database, REGION)
    return Answer(Page([region_answer(version.definition) for version in regions.values()], None))


@put("/v1/packs/{name:str}", opt={"roles": ADMINS})
async def define_one_pack(
    name: ShopName, data: JSONBody[PackRequest], request: ApiRequest
) -> Answer[PackVersionAnswer]:
    """Add a pack, or its next version. Who did so is recorded; what was ordered before keeps its version."""
    version = await define_version(request.services.database, PACK, name, data, changed_by=request.principal.actor)
    return Answer(pack_version_answer(version))


@put("/v1/plans/{name:str}", opt={"roles": ADMINS})
async def define_one_plan(
    name: ShopName, data: JSONBody[PlanRequest], request: ApiRequest
) -> Answer[PlanVersionAnswer]:
    """Add a plan, or its next version. Who did so is recorded; subscriptions that there are keep their version."""
    version = await define_version(request.services.database, PLAN, name, data, changed_by=request.principal.actor)
    return Answer(plan_version_answer(version))


@put("/v1/regions/{name:str}", opt={"roles": ADMINS})
async def define_one_region(
    name: ShopName, data: JSONBody[RegionRequest], request: ApiRequest
) -> Answer[RegionVersionAnswer]:
    """Add a region, or change its countries. Its currency and how it is taxed stay, for prices were set for them."""
    version = await define_version(request.services.database, REGION, name, data, changed_by=request.principal.actor)
    return Answer(region_version_answer(version))


@get("/v1/packs/{name:str}/versions", opt={"roles": AUDITORS})
async def list_pack_versions(name: ShopName, request: ApiRequest) -> Answer[Page[PackVersionAnswer]]:
    """List the versions of a pack, newest first: who made it what it is, and when. The newest 200 at most."""
    found = await list_versions(request.services.database, PACK, name, limit=LIMIT_MAX)
    return Answer(Page([pack_version_answer(version) for version in found], None))


@get("/v1/plans/{name:str}/versions", opt={"roles": AUDITORS})
async def list_plan_versions(name: ShopName, request: ApiRequest) -> Answer[Page[PlanVersionAnswer]]:
    """List the versions of a plan, newest first: who made it what it is, and when. The newest 200 at most."""
    found = await list_versions(request.services.database, PLAN, name, limit=LIMIT_MAX)
    return Answer(Page([plan_version_answer(version) for version in found], None))


@get("/v1/regions/{name:str}/versions", opt={"roles": AUDITORS})
async def list_region_versions(name: ShopName, request: ApiRequest) -> Answer[Page[RegionVersionAnswer]]:
    """List the versions of a region, newest first: who made it what it is, and when. The newest 200 at most."""
    found = await list_versions(request.services.database, REGION, name, limit=LIMIT_MAX)
    return Answer(Page([region_version_answer(version) for version in found], None))
