"""What this installation was told by its environment. Nothing else reads the environment for these."""

import os
import re
from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_WORKER_THREADS: Final = 512
MAX_WORKER_THREADS: Final = 4_096
DEFAULT_FREE_SHARE: Final = 0.5
DEFAULT_DATABASE_TIMEOUT_S: Final = 5
MAX_DATABASE_TIMEOUT_S: Final = 600
MAX_PROVIDER_LIMIT: Final = 1_000_000


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message names the variable and never its secret parts."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that workers, clock and API share. `environment` stays for providers, who know their own keys."""

    database_url: str
    redis_url: str = DEFAULT_REDIS_URL
    broker_url: str = ""
    """Where the queue is. Redis gets a database number of its own, because Dramatiq scans all keys in it."""
    worker_threads: int = DEFAULT_WORKER_THREADS
    """How many generations one worker process runs at once; each waits in a thread of its own."""
    free_share: float = DEFAULT_FREE_SHARE
    """How much of those may be generations of the free tier."""
    provider_limits: Mapping[str, int] = {}
    """How many calls may run at a provider at once, in all workers together; no limit for one that is not named."""
    database_timeout_s: int = DEFAULT_DATABASE_TIMEOUT_S
    """How long one statement for a request or a generation may take. The ledger writer has a limit of its own."""
    log_format: str = "auto"
    log_level: str = "info"
    environment: Mapping[str, str] = {}

    @property
    def free_threads(self) -> int:
        """How many generations of the free tier one worker process runs at once; at least one."""
        return max(1, int(self.worker_threads * self.free_share))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings from the environment, or from a mapping in its place.

        Raises:
            SettingsError: `DATABASE_URL` is missing, or a value makes no sense.
        """
        given = os.environ if environment is None else environment
        redis_url = _value(given, "REDIS_URL", DEFAULT_REDIS_URL)
        return cls(
            database_url=_required(given, "DATABASE_URL"),
            redis_url=redis_url,
            broker_url=_value(given, "BROKER_URL", "") or broker_url_beside(redis_url),
            worker_threads=_number(given, "HOLDFAST_WORKER_THREADS", DEFAULT_WORKER_THREADS, MAX_WORKER_THREADS),
            free_share=_share(given, "HOLDFAST_FREE_SHARE", DEFAULT_FREE_SHARE),
            provider_limits=_limits(given, "HOLDFAST_PROVIDER_LIMITS"),
            database_timeout_s=_number(
                given, "HOLDFAST_DATABASE_TIMEOUT_S", DEFAULT_DATABASE_TIMEOUT_S, MAX_DATABASE_TIMEOUT_S
            ),
            log_format=_choice(given, "HOLDFAST_LOG_FORMAT", "auto", {"auto", "json", "console"}),
            log_level=_choice(given, "HOLDFAST_LOG_LEVEL", "info", {"debug", "info", "warning", "error"}),
            environment=dict(given),
        )


def broker_url_beside(redis_url: str) -> str:
    """Return the URL of the next database number of the same Redis.

    Raises:
        SettingsError: the URL names a database that is not a number.
    """
    parts = urlsplit(redis_url)
    query = dict(parse_qsl(parts.query))
    in_path = parts.scheme != "unix" and parts.path.strip("/")
    try:
        database = int(query.get("db") or in_path or 0) + 1
    except ValueError:
        raise SettingsError("REDIS_URL names a database that is not a number") from None
    if parts.scheme == "unix" or "db" in query:
        # Python before 3.12 leaves out the empty authority of a scheme it does not know, and redis-py insists on it.
        beside = urlunsplit(parts._replace(query=urlencode({**query, "db": str(database)})))
        return beside if "://" in beside else beside.replace(":", "://", 1)
    return urlunsplit(parts._replace(path=f"/{database}"))


def _value(given: Mapping[str, str], name: str, default: str) -> str:
    return given.get(name, "").strip() or default


def _required(given: Mapping[str, str], name: str) -> str:
    value = _value(given, name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _number(given: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = _value(given, name, str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= largest:
        raise SettingsError(f"{name} must be a number from 1 to {largest}")
    return int(text)


def _share(given: Mapping[str, str], name: str, default: float) -> float:
    text = _value(given, name, str(default))
    if re.fullmatch(r"0?\.[0-9]+|1(\.0+)?", text, re.ASCII) is None or not float(text):
        raise SettingsError(f"{name} must be a share above 0 and up to 1, such as 0.5")
    return float(text)


def _limits(given: Mapping[str, str], name: str) -> Mapping[str, int]:
    limits: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in given.get(name, "").split(","))):
        provider, _, number = (part.strip() for part in entry.partition("="))
        if not provider or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MAX_PROVIDER_LIMIT:
            raise SettingsError(f"{name} must be like anthropic=50,replicate=10")
        limits[provider] = int(number)
    return limits


def _choice(given: Mapping[str, str], name: str, default: str, choices: set[str]) -> str:
    value = _value(given, name, default).lower()
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(sorted(choices))}")
    return value
