"""JSON Web Tokens from the operator's own identity service. One algorithm is accepted, whatever a token says."""

import hashlib
import re
from typing import Any, Final
from uuid import UUID

import jwt

from api.principal import Principal, Role
from api.settings import ApiSettings

TOKEN_MAX_CHARACTERS: Final = 8_192
_PLAIN_SUBJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class TokenVerifier:
    """Checks signature, expiry, audience and issuer, and turns the claims into a principal.

    Claims: `role` is one of ours; `sub` is the account's id for the role user, any name for the others; `exp` is
    required; `aud` and `iss` are required where the settings name them.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._key = settings.jwt_secret or settings.jwt_public_key
        self._algorithm = "HS256" if settings.jwt_secret else "EdDSA"
        self._audience = settings.jwt_audience or None
        self._issuer = settings.jwt_issuer or None
        required = ["exp", "sub", "role"]
        self._options: dict[str, Any] = {
            "require": required + ["aud"] * bool(self._audience) + ["iss"] * bool(self._issuer),
            "verify_aud": self._audience is not None,
        }

    def verify(self, token: str) -> Principal | None:
        """Return who holds the token; None if it is not good, for whatever reason."""
        if not self._key or len(token) > TOKEN_MAX_CHARACTERS:
            return None
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options=self._options,  # pyright: ignore[reportArgumentType] - PyJWT's TypedDict, built by parts
            )
            role = Role(claims["role"])
            account_id = UUID(claims["sub"]) if role is Role.user else None
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            return None
        return Principal(role, f"jwt:{_name(claims['sub'])}", account_id)


def _name(subject: str) -> str:
    """Name the subject for the ledger's records: by its digest where it may be a personal detail."""
    if _PLAIN_SUBJECT.fullmatch(subject):
        return subject
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
