"""A request as our handlers see it: who asks, under which key, with a body decoded straight into its struct."""

import re
from typing import Any, Final

import msgspec
from litestar.connection import Request
from litestar.datastructures import State

from api.errors import IdempotencyKeyRequired, InvalidIdempotencyKey, MalformedRequest, UnsupportedMediaType
from api.principal import Principal
from api.services import Services
from ledger.commands import COMMAND_KEY_MAX_CHARACTERS, OWN_KEY_PREFIX

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+", re.ASCII)
_JSON_TYPE: Final = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.ASCII | re.IGNORECASE)

_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}


class ApiRequest(Request[Principal, Any, State]):
    """The connection class of every route."""

    @property
    def services(self) -> Services:
        """What the process has opened: database, writer, hubs."""
        return self.scope["litestar_app"].services  # type: ignore[attr-defined, no-any-return]

    @property
    def principal(self) -> Principal:
        """The authenticated caller; a guard has set it."""
        return self.scope["user"]  # type: ignore[no-any-return]

    @property
    def request_id(self) -> str:
        """The id of this request, as in `X-Request-ID` and the logs."""
        return self.scope["state"]["request_id"]  # type: ignore[no-any-return]

    def header(self, name: bytes) -> str | None:
        """Return the first value of a header, whose name is given in lower case."""
        for key, value in self.scope["headers"]:
            if key == name:
                return value.decode("latin-1")
        return None

    @property
    def command_key(self) -> str:
        """The `Idempotency-Key` of a request that moves credits.

        Raises:
            IdempotencyKeyRequired: there is none.
            InvalidIdempotencyKey: it cannot be one.
        """
        key = self.idempotency_key
        if key is None:
            raise IdempotencyKeyRequired
        return key

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key`, if there is one.

        Raises:
            InvalidIdempotencyKey: it cannot be one.
        """
        key = self.header(b"idempotency-key")
        return None if key is None else checked_key(key)

    async def json(self) -> Any:
        """Decode the body strictly into the type that the handler declares for it.

        Litestar would decode into plain objects and convert those leniently, where `"5"` passes for a number.

        Raises:
            UnsupportedMediaType: the body is declared to be something other than JSON.
            MalformedRequest: the body is not JSON.
            msgspec.ValidationError: the JSON does not fit.
        """
        content_type = self.header(b"content-type")
        if content_type is not None and _JSON_TYPE.fullmatch(content_type) is None:
            raise UnsupportedMediaType
        handler = self.scope["route_handler"]
        decoder = _decoders.get(handler)
        if decoder is None:
            decoder = msgspec.json.Decoder(handler.parsed_fn_signature.parameters["data"].annotation)
            _decoders[handler] = decoder
        try:
            return decoder.decode(await self.body())
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequest(f"the body is not valid JSON: {error}") from None


def checked_key(key: str) -> str:
    """Return the key if callers may use it.

    Raises:
        InvalidIdempotencyKey: it is empty, too long, not printable ASCII, or begins like one of our own.
    """
    if not 0 < len(key) <= COMMAND_KEY_MAX_CHARACTERS:
        raise InvalidIdempotencyKey(f"must have 1 to {COMMAND_KEY_MAX_CHARACTERS} characters")
    if _PRINTABLE.fullmatch(key) is None:
        raise InvalidIdempotencyKey("must be printable ASCII")
    if key.startswith(OWN_KEY_PREFIX):
        raise InvalidIdempotencyKey(f"must not begin with {OWN_KEY_PREFIX}")
    return key
