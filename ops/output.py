"""What the `holdfast` command prints: for people by default, one JSON document for programs with `--json`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any, Final, final

import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

FRAMES_PER_S: Final = 20
COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


@final
class Output:
    """Results go to standard output, everything else to standard error, so that a pipe carries only results."""

    def __init__(self, *, json: bool, logs: bool = True) -> None:
        self.json: bool = json
        self._logs: bool = logs
        self.console: Console = Console(highlight=False, soft_wrap=True)
        self._errors: Console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._colours: dict[str, str] = {}

    @property
    def log_format(self) -> str:
        """How processes should write what goes through `log`: they cannot see the terminal themselves."""
        return "console" if self._errors.is_terminal and not self.json else "json"

    def result(self, document: Any, *lines: str) -> None:
        """Print the document for a program, or the lines for a person."""
        if self.json:
            sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def note(self, line: str) -> None:
        """Say what is going on."""
        self._errors.print(Text(line, style="dim"))

    def error(self, line: str) -> None:
        """Say, in one line, why the command cannot go on."""
        self._errors.print(Text.assemble(("error ", "bold red"), " ".join(line.split())))

    def without_logs(self) -> Output:
        """Return an output that keeps what processes write to itself."""
        return Output(json=self.json, logs=False)

    def tell(self, line: str) -> None:
        """Tell a person how the story goes on; a program waits for the result."""
        if not self.json:
            self.console.print(Text(line))

    @contextlib.contextmanager
    def live(self) -> Generator[Callable[[str, str], None]]:
        """Show a text as it grows, with a line about it below; where there is no terminal, show how it ended up."""
        shown = Text()

        def show(text: str, below: str) -> None:
            nonlocal shown
            shown = Text.assemble("  ", (text, "bold"), ("▌\n  " + below, "dim"))
            if self.console.is_terminal and not self.json:
                screen.update(shown)

        with Live(console=self.console, refresh_per_second=FRAMES_PER_S, auto_refresh=not self.json) as screen:
            yield show
        if not self.console.is_terminal:
            self.tell(shown.plain)

    def log(self, source: str, line: str) -> None:
        """Pass on one line a process wrote, with the process's name before it."""
        if not self._logs:
            return
        colour = self._colours.setdefault(source, COLOURS[len(self._colours) % len(COLOURS)])
        self._errors.print(Text.assemble((f"{source:<9}", colour), ("│ ", "dim"), Text.from_ansi(line)))
