"""What the tests with a database share."""

from collections.abc import AsyncIterator

import pytest
import structlog

from tests.api_in_process import Api, api_in_process


@pytest.fixture(autouse=True, scope="session")
def plain_tracebacks() -> None:
    """Log errors as our processes do. By default structlog shows all variables, and takes a third of a second."""
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], console])


@pytest.fixture
async def api(database_url: str, redis_url: str) -> AsyncIterator[Api]:
    """The API in this process, on an empty database."""
    async with api_in_process(database_url, redis_url) as running:
        yield running
