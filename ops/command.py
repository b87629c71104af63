"""What all `holdfast` commands share: their options, and how an error becomes one line and an exit status."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import psycopg
import psycopg_pool

from ledger.errors import LedgerError
from ops.errors import OpsError
from ops.output import Output
from ops.signals import Stopped
from workers.settings import SettingsError

USAGE: Final = 2
CANNOT_REACH: Final = 3
REFUSED: Final = 1
INTERRUPTED: Final = 130

Function = TypeVar("Function", bound=Callable[..., Any])


def data_dir_option(function: Function) -> Function:
    """Take --data-dir."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="HOLDFAST_DATA_DIR",
        default=Path(".holdfast"),
        show_default=True,
        help="Where the embedded servers keep their data.",
    )(function)


def json_option(function: Function) -> Function:
    """Take --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document for programs.")(function)


def run(work: Callable[[Output], Awaitable[None]], *, as_json: bool) -> None:
    """Run the command to its end; an error that can happen is one line on standard error and an exit status."""
    output = Output(json=as_json)
    try:
        asyncio.run(_awaited(work, output))
    except OpsError as error:
        _leave(output, str(error), error.exit_status)
    except SettingsError as error:
        _leave(output, str(error), USAGE)
    except LedgerError as error:
        _leave(output, f"{error} ({error.code})", REFUSED)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        _leave(output, "the database is not migrated to this version: run `holdfast migrate`", CANNOT_REACH)
    except psycopg.errors.InsufficientPrivilege as error:
        _leave(output, f"the database does not let us: {error.diag.message_primary}", CANNOT_REACH)
    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
        _leave(output, f"lost Postgres: {str(error).partition(chr(10))[0]}", CANNOT_REACH)
    except (KeyboardInterrupt, Stopped):
        sys.exit(INTERRUPTED)


async def _awaited(work: Callable[[Output], Awaitable[None]], output: Output) -> None:
    await work(output)


def _leave(output: Output, line: str, status: int) -> None:
    output.error(line)
    sys.exit(status)
