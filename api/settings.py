"""What the API reads from its environment, once, when it starts."""

import os
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from workers.settings import Settings, SettingsError

MIN_SECRET_CHARACTERS: Final = 32
DEFAULT_STREAM_MAX_AGE_S: Final = 3600.0


class ApiSettings(Struct, frozen=True, kw_only=True):
    """Everything the API can be told. Empty strings mean "not set"."""

    platform: Settings
    """What all processes of the installation share: database, Redis, queue, logs."""
    bootstrap_admin_key: str = ""
    jwt_secret: str = ""
    jwt_public_key: str = ""
    """PEM of an Ed25519 key; then tokens must be signed with EdDSA."""
    jwt_audience: str = ""
    jwt_issuer: str = ""
    stream_max_age_s: float = DEFAULT_STREAM_MAX_AGE_S
    """After this long a stream asks its reader to reconnect, so that load spreads over new processes."""


def read_settings(environment: Mapping[str, str] = os.environ) -> ApiSettings:
    """Read and check the environment.

    Raises:
        SettingsError: a variable is missing, too short, or at odds with another.
    """
    settings = ApiSettings(
        platform=Settings.from_environment(environment),
        bootstrap_admin_key=_secret(environment, "HOLDFAST_BOOTSTRAP_ADMIN_KEY"),
        jwt_secret=_secret(environment, "HOLDFAST_JWT_SECRET"),
        jwt_public_key=environment.get("HOLDFAST_JWT_PUBLIC_KEY", ""),
        jwt_audience=environment.get("HOLDFAST_JWT_AUDIENCE", ""),
        jwt_issuer=environment.get("HOLDFAST_JWT_ISSUER", ""),
        stream_max_age_s=_seconds(environment, "HOLDFAST_STREAM_MAX_AGE_S", DEFAULT_STREAM_MAX_AGE_S),
    )
    if settings.jwt_secret and settings.jwt_public_key:
        raise SettingsError("set HOLDFAST_JWT_SECRET or HOLDFAST_JWT_PUBLIC_KEY, not both: one algorithm is accepted")
    return settings


def _secret(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if value and len(value) < MIN_SECRET_CHARACTERS:
        raise SettingsError(f"{name} must have at least {MIN_SECRET_CHARACTERS} characters")
    return value


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        seconds = float(environment.get(name) or default)
    except ValueError:
        raise SettingsError(f"{name} must be a number of seconds") from None
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"{name} must be above zero")
    return seconds
