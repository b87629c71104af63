"""Settings from the environment, and logs that keep secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from workers.logs import REDACTED, bind_request, configure_logs, redact_text
from workers.settings import Settings, SettingsError, broker_url_beside

DATABASE = {"DATABASE_URL": "postgresql://localhost/holdfast"}


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://localhost", "redis://localhost/1"),
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("redis://user:secret@host:1/3", "redis://user:secret@host:1/4"),
        ("redis://localhost?db=2", "redis://localhost?db=3"),
        ("rediss://localhost/1?ssl_cert_reqs=none", "rediss://localhost/2?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1"),
    ],
)
def test_the_broker_has_the_next_database_of_the_same_redis(redis_url: str, broker_url: str) -> None:
    assert broker_url_beside(redis_url) == broker_url


def test_a_statement_has_five_seconds_unless_said_otherwise() -> None:
    assert Settings.from_environment(DATABASE).database_timeout_s == 5
    assert Settings.from_environment({**DATABASE, "HOLDFAST_DATABASE_TIMEOUT_S": "20"}).database_timeout_s == 20


def test_a_broker_url_of_its_own_wins() -> None:
    settings = Settings.from_environment({**DATABASE, "BROKER_URL": "redis://elsewhere/0"})

    assert settings.broker_url == "redis://elsewhere/0"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"DATABASE_URL": "  "},
        {**DATABASE, "REDIS_URL": "redis://localhost/zero"},
        {**DATABASE, "HOLDFAST_WORKER_THREADS": "0"},
        {**DATABASE, "HOLDFAST_WORKER_THREADS": "-1"},
        {**DATABASE, "HOLDFAST_WORKER_THREADS": "many"},
        {**DATABASE, "HOLDFAST_LOG_LEVEL": "loud"},
        {**DATABASE, "HOLDFAST_FREE_SHARE": "0"},
        {**DATABASE, "HOLDFAST_FREE_SHARE": "1.5"},
        {**DATABASE, "HOLDFAST_FREE_SHARE": "half"},
        {**DATABASE, "HOLDFAST_PROVIDER_LIMITS": "anthropic"},
        {**DATABASE, "HOLDFAST_PROVIDER_LIMITS": "anthropic=0"},
        {**DATABASE, "HOLDFAST_PROVIDER_LIMITS": "anthropic=ten"},
        {**DATABASE, "HOLDFAST_PROVIDER_LIMITS": "=5"},
    ],
)
def test_settings_that_make_no_sense_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    ("share", "threads", "free_threads"), [("0.5", "8", 4), ("1", "8", 8), (".25", "10", 2), ("0.01", "8", 1)]
)
def test_free_work_has_a_share_of_the_threads_and_at_least_one(share: str, threads: str, free_threads: int) -> None:
    environment = {**DATABASE, "HOLDFAST_FREE_SHARE": share, "HOLDFAST_WORKER_THREADS": threads}

    assert Settings.from_environment(environment).free_threads == free_threads


def test_limits_are_given_by_provider() -> None:
    environment = {**DATABASE, "HOLDFAST_PROVIDER_LIMITS": " anthropic=50, replicate = 10 ,"}

    assert Settings.from_environment(environment).provider_limits == {"anthropic": 50, "replicate": 10}
    assert Settings.from_environment(DATABASE).provider_limits == {}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(process="test", log_format="json", stream=stream)
    yield stream
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_every_line_carries_the_request_id(log: io.StringIO) -> None:
    bind_request("r-1", generation_id="g")
    structlog.stdlib.get_logger("a").info("ours")
    logging.getLogger("b").warning("theirs")

    assert [(line["event"], line["request_id"], line["process"]) for line in lines(log)] == [
        ("ours", "r-1", "test"),
        ("theirs", "r-1", "test"),
    ]


def test_secrets_are_hidden_by_name_and_by_looks(log: io.StringIO) -> None:
    structlog.stdlib.get_logger("a").info(
        "x",
        authorization="Bearer abc",
        openai_api_key="k",
        url="postgresql://me:hunter2@host/db",
        note="sent Bearer abcdefghij.klm and sk-ant-0123456789",
    )

    (line,) = lines(log)
    assert line["authorization"] == line["openai_api_key"] == REDACTED
    assert "hunter2" not in str(line)
    assert "abcdefghij" not in str(line)
    assert "0123456789" not in str(line)


def test_an_exception_is_one_line_and_its_secrets_are_hidden(log: io.StringIO) -> None:
    try:
        int("postgresql://me:hunter2@host/db")
    except ValueError:
        structlog.stdlib.get_logger("a").exception("broke")

    (line,) = lines(log)
    assert "ValueError" in str(line["exception"])
    assert "hunter2" not in log.getvalue()


@pytest.mark.usefixtures("log")
def test_on_a_terminal_an_exception_shows_neither_variables_nor_secrets() -> None:
    terminal = io.StringIO()
    configure_logs(process="test", log_format="console", stream=terminal)
    try:
        signing_secret = "hunter3"
        int(f"postgresql://me:hunter2@host/{len(signing_secret)}")
    except ValueError:
        structlog.stdlib.get_logger("a").exception("broke")

    assert "ValueError" in terminal.getvalue()
    assert "hunter2" not in terminal.getvalue()
    assert terminal.getvalue().count("hunter3") == 0


def test_what_a_sdk_says_of_each_of_its_calls_is_not_logged(log: io.StringIO) -> None:
    logging.getLogger("stripe").info("message='Request to Stripe api' path=/v1/customers/cus_1")

    assert lines(log) == []


@pytest.mark.parametrize("text", ["a normal sentence", "task-force", "https://example.com/path", "hf"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text
