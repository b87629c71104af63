"""What the tests of the API share."""

from collections.abc import AsyncIterator

import pytest

from tests.api_in_process import Api, api_in_process


@pytest.fixture
async def api(database_url: str, redis_url: str) -> AsyncIterator[Api]:
    """The API in this process, on an empty database."""
    async with api_in_process(database_url, redis_url) as running:
        yield running
