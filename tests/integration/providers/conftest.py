"""Every provider of text in turn, each against a server that speaks its wire format and fails as the real one does."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.scripted_server import ScriptedServer
from tests.provider_wires import WIRES, Wire
from workers.providers import Provider, ProviderRegistry


@pytest.fixture(params=WIRES.values(), ids=lambda wire: wire.provider)
def wire(request: pytest.FixtureRequest) -> Wire:
    """The wire format that is spoken."""
    return request.param


@pytest.fixture
async def server(wire: Wire) -> AsyncIterator[ScriptedServer]:
    """The provider's end."""
    async with wire.server() as server:
        yield server


@pytest.fixture
async def provider(wire: Wire, server: ScriptedServer) -> AsyncIterator[Provider]:
    """Our end, configured as an installation would."""
    registry = ProviderRegistry(wire.environment(server.url))
    yield registry.get(wire.provider)
    await registry.aclose()
