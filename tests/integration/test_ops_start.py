"""How the `holdfast` command starts: each command has its place, and loads what it needs and no more."""

import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import click
import pytest

import ops
from ops.cli import main

SERVERS = {"litestar", "uvicorn"}
CLIENTS = {"anthropic", "boto3", "botocore", "duckdb", "openai", "PIL", "stripe", "yookassa"}
TELL = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def loaded_by(program: str, *words: str) -> set[str]:
    """Run a program in a fresh interpreter and return the modules it has loaded at its end."""
    command = [sys.executable, "-c", TELL + program, *words]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr.split())


def loaded_by_command(*words: str) -> set[str]:
    return loaded_by("from ops.cli import main; main()", *words)


def commands_below(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command there is below a group, and the words it is called by."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands_below(command, *words, name)


def test_asking_for_the_version_loads_no_command() -> None:
    loaded = loaded_by_command("--version")

    assert {name for name in loaded if name.startswith("ops.")} == {"ops.cli", "ops.lazy_commands"}
    assert not loaded & {*SERVERS, *CLIENTS, "psycopg", "msgspec", "rich"}


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("keys", "list", "--help"),
        ("accounts", "show", "--help"),
        ("payments", "inbox", "list", "--help"),
        ("audit", "verify", "--help"),
        ("reconcile", "--help"),
        ("doctor", "--help"),
        ("up", "--help"),
    ],
    ids=" ".join,
)
def test_no_command_loads_the_api_or_the_client_of_a_provider_to_tell_of_itself(words: tuple[str, ...]) -> None:
    assert not loaded_by_command(*words) & {*SERVERS, *CLIENTS}


@pytest.mark.parametrize("module", ["workers.main", "workers.clock", "api.server"])
def test_no_process_loads_the_client_of_what_it_may_never_use(module: str) -> None:
    assert not loaded_by(f"import {module}") & CLIENTS


def test_every_command_is_called_as_it_calls_itself() -> None:
    called = dict(commands_below(main))

    assert ("audit", "verify") in called
    assert ("payments", "refund") in called
    for words, command in called.items():
        assert command.name == words[-1]
        assert command.get_short_help_str(), f"{words} says what it does"


def test_every_command_that_is_written_can_be_called() -> None:
    called = {id(command) for _, command in commands_below(main)}
    for module in pkgutil.walk_packages(ops.__path__, prefix="ops."):
        if module.name == "ops.__main__":
            continue
        for name, value in vars(import_module(module.name)).items():
            if isinstance(value, click.Command) and value is not main:
                assert id(value) in called, f"{module.name}.{name}"


def test_a_name_that_is_nearly_right_is_told_the_right_one() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "ops", "audit", "verfy"], capture_output=True, text=True, check=False, timeout=60
    )

    assert ran.returncode == 2
    assert "'verify'" in ran.stderr
