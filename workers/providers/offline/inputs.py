"""The bytes of the files a call is about, where it only has their addresses."""

from typing import Final

import httpx
from msgspec import structs

from workers.providers.errors import Unavailable
from workers.providers.interface import InputFile, ProviderRequest
from workers.providers.offline.options import PROVIDER, rejected

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
TIMEOUT_S: Final = 20.0


async def with_contents(request: ProviderRequest) -> ProviderRequest:
    """Return the request with the bytes of all its files. The addresses are those of our own store.

    Raises:
        RequestRejected: a file is too large.
        Unavailable: the store did not answer.
    """
    loaded: dict[str, InputFile] = {}
    for media_id, file in request.files.items():
        loaded[media_id] = file if file.content is not None else await _loaded(file)
    return structs.replace(request, files=loaded)


async def _loaded(file: InputFile) -> InputFile:
    if file.url is None:
        raise Unavailable(provider=PROVIDER, provider_message=f"{file.media_id} has neither bytes nor an address")
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client,
            client.stream("GET", file.url) as answer,
        ):
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > MAX_FILE_BYTES:
                    raise rejected(f"{file.media_id} has more than {MAX_FILE_BYTES} bytes")
    except httpx.HTTPError as error:
        raise Unavailable(provider=PROVIDER, provider_message=f"{file.media_id}: {error!r}") from error
    return structs.replace(file, content=bytes(content))
