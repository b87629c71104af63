"""Commands that are loaded when they are used, so that none waits for the modules of the others."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any

import click


class LazyCommands(UserDict[str, Any]):
    """What a `click.Group` finds its commands in: by name, each a command or where one is, as `module:attribute`.

    Only looking a command up loads its module. A group's help looks up all of them, because what it says of each stands
    in the command's docstring and nowhere else; guessing which name a wrong one was meant to be looks up none.
    """

    def __getitem__(self, name: str) -> click.Command:
        """Return the command of that name, loaded."""
        found = self.data[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command), f"{name} leads to a command"
        return found
