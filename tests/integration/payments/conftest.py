"""What the tests of payments share."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import pytest
import stripe

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.api_in_process import Api, api_in_process
from tests.builders import open_account
from tests.payments import payments_in
from tests.tills import NAMES, Till, till_of
from workers.payments.context import PaymentContext


@pytest.fixture(autouse=True, scope="module")
def hasty_sdk() -> Iterator[None]:
    """Stripe's SDK asks again at once: that half a second passes before it does would show nothing more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.001)
        yield


@pytest.fixture
def context(database: Database, writer: LedgerWriter) -> PaymentContext:
    """With the gateway that says facts as they are."""
    return payments_in(database, writer)


@pytest.fixture
async def account_id(writer: LedgerWriter) -> UUID:
    """An account that has nothing yet."""
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    return account_id


@pytest.fixture(params=NAMES)
async def till(request: pytest.FixtureRequest) -> AsyncIterator[Till]:
    """Each gateway in turn."""
    async with till_of(request.param) as till:
        yield till


@pytest.fixture
async def till_api(database_url: str, redis_url: str, till: Till) -> AsyncIterator[Api]:
    """The API with the keys of that gateway."""
    async with api_in_process(database_url, redis_url, **till.environment) as api:
        yield api
