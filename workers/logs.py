"""One log for everything a process says: JSON lines for machines, colours for a terminal, never a secret.

Our code logs events with structlog; what libraries say through `logging` goes the same way. The request id that is
bound with `bind_request` is in every line until the task or message is over.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import Processor

REDACTED: Final = "[redacted]"
MAX_VALUE_CHARACTERS: Final = 2_000

_SECRET_NAME: Final = re.compile(
    r"authorization|password|secret|api_?key|credential|cookie|signing_?key", re.IGNORECASE
)
_SECRET_TEXT: Final = re.compile(
    r"(?P<url>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^@/\s]+(?=@)"  # the password of a URL
    r"|(?P<bearer>bearer\s+)[\w.~+/-]{8,}=*"
    r"|(?P<key>\b(?:sk|hf|rk|pk|whsec)[-_])[\w-]{8,}",
    re.IGNORECASE,
)
_QUIET_LIBRARIES: Final = (
    "httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "boto3", "botocore", "urllib3", "asyncio",
    "psycopg.pool", "stripe",
)  # fmt: skip
"""They log requests with their URLs, which may be signed and so be secrets."""


def configure_logs(
    *, process: str, log_format: str = "auto", level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up logging of this process; the last call wins. `auto` writes JSON unless the stream is a terminal."""
    output = stream or sys.stderr
    as_json = log_format == "json" or (log_format == "auto" and not output.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ProcessName(process),
        structlog.processors.format_exc_info,
        redact,
    ]
    # The renderer's own tracebacks show all variables, after everything was redacted.
    console = structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
    last: Processor = structlog.processors.JSONRenderer() if as_json else console
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def bind_request(request_id: str, **facts: str) -> None:
    """Forget what was bound before, and put this into every line that this task logs from here on."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id, **facts)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what is secret by its name or by its looks, and bound what is long."""
    event.pop("color_message", None)  # uvicorn says everything twice, once for terminals
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = REDACTED
        elif isinstance(value, str):
            event[name] = redact_text(value)
    return event


def redact_text(text: str) -> str:
    """Hide passwords in URLs, bearer tokens and API keys inside a text."""
    text = _SECRET_TEXT.sub(_keep_prefix, text)
    return text if len(text) <= MAX_VALUE_CHARACTERS * 4 else text[: MAX_VALUE_CHARACTERS * 4] + "…"


def _keep_prefix(match: re.Match[str]) -> str:
    return f"{match['url'] or match['bearer'] or match['key']}{REDACTED}"


class _ProcessName:
    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", self._process)
        return event
