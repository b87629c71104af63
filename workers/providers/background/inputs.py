"""The input of a model that has inputs of its own: our parameters under its names, files in a form it can fetch."""

import base64
from collections.abc import Mapping
from typing import Any, Final, cast

from workers.providers.errors import RequestRejected
from workers.providers.interface import InputFile, ProviderRequest

MAX_INLINE_BYTES: Final = 10 * 1024 * 1024
"""Of a file that goes inside the request, because the provider cannot reach our store. Both services take `data:` URLs,
and both want larger files by URL."""

_DEPTH_LIMIT: Final = 8


def upstream_input(request: ProviderRequest, *, provider: str) -> dict[str, Any]:
    """Return the input object to send, with every media id in it replaced by a URL.

    Raises:
        RequestRejected: a file can be given neither by URL nor inside the request.
    """
    given = request.upstream_inputs or _by_our_names(request)
    return {name: _with_files(value, request.files, provider, _DEPTH_LIMIT) for name, value in given.items()}


def _by_our_names(request: ProviderRequest) -> dict[str, object]:
    prompt = next((message.content for message in reversed(request.messages) if message.role == "user"), None)
    return {**({} if prompt is None else {"prompt": prompt}), **request.options}


def _with_files(value: object, files: Mapping[str, InputFile], provider: str, depth: int) -> object:
    if isinstance(value, str):
        return _url_of(files[value], provider) if value in files else value
    if depth == 0:
        return value
    if isinstance(value, list | tuple):
        return [_with_files(item, files, provider, depth - 1) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {name: _with_files(item, files, provider, depth - 1) for name, item in items}
    return value


def _url_of(file: InputFile, provider: str) -> str:
    if file.url is not None:
        return file.url
    if file.content is None or len(file.content) > MAX_INLINE_BYTES:
        words = f"a file of {file.size_bytes} bytes cannot be sent inside the request, and has no URL"
        raise RequestRejected(provider=provider, provider_message=words)
    return f"data:{file.media_type};base64,{base64.b64encode(file.content).decode()}"
