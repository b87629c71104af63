"""The machine and the environment: Python, programs, settings, the data directory."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from api.settings import read_settings
from ops.checks.finding import Finding, State, judge
from ops.errors import CannotReach
from ops.services.binaries import postgres_programs, redis_program, redis_version
from workers.providers.registry import ProviderRegistry
from workers.settings import SettingsError

OLDEST_PYTHON: Final = (3, 11)
LEAST_FREE_BYTES: Final = 2**30


def check_machine(data_dir: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at all that needs no server."""
    yield _python()
    if not environment.get("DATABASE_URL"):
        yield _postgres_program()
    if not environment.get("REDIS_URL"):
        yield _redis_program()
    yield _settings(environment)
    yield _providers(environment)
    if data_dir.exists():
        yield _privacy(data_dir)
    yield _space(data_dir)


def _python() -> Finding:
    return judge(
        "python",
        fine=sys.version_info >= OLDEST_PYTHON,
        found=platform.python_version(),
        mend="install Python 3.11 or newer and run `make venv`",
    )


def _postgres_program() -> Finding:
    try:
        return Finding("embedded postgres", State.fine, str(postgres_programs() / "postgres"))
    except CannotReach as error:
        return Finding("embedded postgres", State.wrong, str(error), "run `make venv`, or set DATABASE_URL")


def _redis_program() -> Finding:
    try:
        program = redis_program()
    except CannotReach as error:
        mend = "install redis-server or valkey-server 6.2 or newer, or set REDIS_URL"
        return Finding("embedded redis", State.wrong, str(error), mend)
    return Finding("embedded redis", State.fine, f"{program} ({'.'.join(map(str, redis_version(program)))})")


def _settings(environment: Mapping[str, str]) -> Finding:
    try:
        # Which database is looked at elsewhere; here only whether the rest makes sense.
        read_settings({"DATABASE_URL": "postgresql:///", **environment})
    except SettingsError as error:
        return Finding("environment", State.wrong, str(error), "correct the variable it names")
    return Finding("environment", State.fine, "every variable that is set makes sense")


def _providers(environment: Mapping[str, str]) -> Finding:
    statuses = ProviderRegistry(environment).statuses()
    return Finding(
        "providers", State.fine, "; ".join(f"{one.name} ({one.problem or 'configured'})" for one in statuses)
    )


def _privacy(data_dir: Path) -> Finding:
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    return judge(
        "data directory",
        fine=not mode & 0o077 and os.access(data_dir, os.R_OK | os.W_OK | os.X_OK),
        found=f"{data_dir} has mode {mode:04o}",
        mend=f"make it private and yours: chmod 700 {data_dir}",
    )


def _space(data_dir: Path) -> Finding:
    nearest = next(place for place in (data_dir, *data_dir.parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    return judge(
        "disk space",
        fine=free >= LEAST_FREE_BYTES,
        found=f"{free / 2**30:.1f} GiB free at {nearest}",
        mend="free some: a full disk stops Postgres",
    )
