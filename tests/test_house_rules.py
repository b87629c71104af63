"""Rules of the house that no linter knows. Each failure names the file and the line."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import api.errors
import ledger.errors
import workers.errors
import workers.media.errors
import workers.messages.errors
import workers.payments.errors
import workers.streams.errors
from api.problems import STATUS_OF_CODE
from ledger.commands import Command
from tests.ledger_cases import CASES

ROOT = Path(__file__).parent.parent
PACKAGES = ("ledger", "projections", "workers", "api", "ops", "migrations", "bench")
MAX_MODULE_LINES = 400

PURE_MODULES = ("account", "amounts", "batch", "bounds", "commands", "decide", "errors", "events", "lots")
"""The rules of the ledger: no clock, no I/O, no randomness, so that they can be replayed."""

IMPURE_IMPORTS = {"time", "datetime", "asyncio", "os", "random", "secrets", "socket", "psycopg", "structlog", "redis"}

MONEY = re.compile(r"microcredits|\b(amount|price|cost)\b")
PING = "SELECT 1"
STARTS_LIKE_SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS|MERGE\s+INTO|CREATE\s+(TABLE|INDEX)|"
    r"ALTER\s|DROP\s|TRUNCATE\s|COPY\s|LISTEN\s|NOTIFY\s)"
)


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages or PACKAGES for path in (ROOT / package).rglob("*.py"))


def statements(*packages: str) -> list[Path]:
    return sorted(path for package in packages or PACKAGES for path in (ROOT / package).rglob("sql/*.sql"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def calls_of(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a module, with what is called as it is written."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def at(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}"


def docstrings_of(tree: ast.Module) -> set[ast.AST]:
    """Strings that stand alone: what documents a module, class, function or attribute."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def error_classes() -> list[type[Exception]]:
    """Every error with a code that is not a family of others."""
    found: set[type[Exception]] = set()
    for module in (
        ledger.errors,
        workers.errors,
        workers.media.errors,
        workers.messages.errors,
        workers.payments.errors,
        workers.streams.errors,
        api.errors,
    ):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Exception) and hasattr(value, "code"):
                found.add(value)
    return sorted(
        (error for error in found if not any(error in other.__mro__[1:] for other in found)),
        key=lambda error: error.__name__,
    )


def test_every_actor_says_how_long_it_may_run_and_how_often_it_is_tried() -> None:
    actors = [
        (path, call) for path in modules() for called, call in calls_of(path) if called in ("dramatiq.actor", "actor")
    ]

    assert actors, "where are the actors?"
    for path, call in actors:
        given = {keyword.arg for keyword in call.keywords}
        assert {"queue_name", "time_limit", "max_retries"} <= given, at(path, call)


def test_every_error_has_a_code_of_its_own() -> None:
    errors = error_classes()

    assert len(errors) > 20
    for error in errors:
        assert "code" in vars(error), error
    repeated = {code for code, count in Counter(code_of(error) for error in errors).items() if count > 1}
    assert not repeated


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_that_reaches_a_caller_has_one_http_status(error: type[Exception]) -> None:
    if issubclass(error, workers.streams.errors.StreamError) and code_of(error) not in STATUS_OF_CODE:
        assert error.__module__ == "workers.streams.errors", "an error of the streams that stays inside the workers"
        return
    assert 400 <= STATUS_OF_CODE[code_of(error)] < 600
    assert (error.__doc__ or "").strip().endswith(".")


def code_of(error: type[Exception]) -> str:
    code: Any = vars(error).get("code") or getattr(error, "code", "")
    return str(code)


@pytest.mark.parametrize("path", statements(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_statement_says_what_it_does_and_what_comes_back(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = list(takewhile(lambda line: line.startswith("--"), lines))

    assert header, "a header is missing"
    assert re.match(r"-- [A-Z].*", header[0])
    assert any(line.startswith("-- Returns:") for line in header)


@pytest.mark.parametrize("path", statements(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_statement_is_used_by_its_package_or_one_above(path: Path) -> None:
    used = re.compile(rf"\b\w*sql\.{path.stem.upper()}\b")

    assert any(used.search(module.read_text(encoding="utf-8")) for module in modules())


def test_every_statement_that_is_asked_for_exists() -> None:
    for package in ("ledger", "projections", "workers", "api", "ops"):
        existing = {path.stem.upper() for path in statements(package)} | {path.stem.upper() for path in statements()}
        for path in modules(package):
            for name in re.findall(r"\bsql\.([A-Z][A-Z_]+)\b", path.read_text(encoding="utf-8")):
                assert name in existing, f"{path.relative_to(ROOT)}: {name}"


def test_no_sql_is_written_in_python() -> None:
    for path in modules("ledger", "projections", "workers", "api", "ops"):
        tree = tree_of(path)
        documentation = docstrings_of(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
                is_sql = STARTS_LIKE_SQL.match(node.value) and node.value != PING
                assert not is_sql, f"{at(path, node)}: {node.value[:60]!r}"


def test_no_sql_is_composed_in_python() -> None:
    for path in modules("ledger", "projections", "workers", "api", "ops", "migrations"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "psycopg":
                assert "sql" not in {name.name for name in node.names}, at(path, node)
            if isinstance(node, ast.ImportFrom | ast.Import):
                assert "psycopg.sql" not in ast.unparse(node), at(path, node)


@pytest.mark.parametrize("name", PURE_MODULES)
def test_the_rules_of_the_ledger_have_no_clock_and_no_input_or_output(name: str) -> None:
    path = ROOT / "ledger" / f"{name}.py"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            imported = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported = {(node.module or "").split(".")[0]}
        else:
            continue
        assert not imported & IMPURE_IMPORTS, at(path, node)


def test_no_float_holds_money() -> None:
    for path in modules("ledger", "projections", "workers", "api", "ops"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                assert not MONEY.search(ast.unparse(node)), f"{at(path, node)}: {ast.unparse(node)}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "float":
                assert not MONEY.search(ast.unparse(node)), f"{at(path, node)}: {ast.unparse(node)}"
            if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
                name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                if MONEY.search(name):
                    assert "float" not in ast.unparse(node.annotation), f"{at(path, node)}: {name}"


def test_nothing_is_printed_but_by_what_people_run() -> None:
    for path in modules("ledger", "projections", "workers", "api", "migrations"):
        for called, call in calls_of(path):
            assert called != "print", at(path, call)


def test_modules_stay_small() -> None:
    for path in modules():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_MODULE_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_nothing_is_left_for_later_and_no_test_is_passed_over() -> None:
    words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "pytest.sk" + "ip", "mark.sk" + "ip", "xf" + "ail"]
    unfinished = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in words))
    for path in [*modules(), *modules("tests")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not unfinished.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_every_command_is_sent_twice_and_raced() -> None:
    covered = {type(case.command(uuid4())) for case in CASES}

    assert covered == set(Command.__subclasses__())


def test_every_name_of_a_test_is_a_sentence() -> None:
    for path in modules("tests"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                assert len(node.name.split("_")) > 3, f"{at(path, node)}: {node.name}"
