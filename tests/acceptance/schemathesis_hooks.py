"""Values that schemathesis cannot make up: what only an earlier page of a list gives out."""

import base64

import schemathesis
from hypothesis import strategies


def _cursor(place: bytes) -> str:
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


schemathesis.openapi.format("holdfast-id-cursor", strategies.uuids().map(lambda id_: _cursor(id_.bytes)))
schemathesis.openapi.format(
    "holdfast-version-cursor",
    strategies.integers(0, 2**63 - 1).map(lambda version: _cursor(version.to_bytes(8, "big"))),
)
schemathesis.openapi.format(
    "holdfast-text-cursor", strategies.text("abc-0189 ", min_size=1, max_size=40).map(lambda key: _cursor(key.encode()))
)
