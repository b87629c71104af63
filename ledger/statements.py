"""Named SQL files, loaded once: `<package>/sql/append_events.sql` is `APPEND_EVENTS`."""

from importlib.resources import files
from typing import LiteralString, cast


class Statements:
    """The SQL files of one package, as attributes in upper case."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._texts: dict[str, LiteralString] = {
            file.name.removesuffix(".sql").upper(): cast("LiteralString", file.read_text(encoding="utf-8"))
            for file in (files(package) / "sql").iterdir()
            if file.name.endswith(".sql")
        }

    def __getattr__(self, name: str) -> LiteralString:
        """Return the text of the statement.

        Raises:
            AttributeError: there is no such file.
        """
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"{self._package}/sql/{name.lower()}.sql does not exist") from None

    def names(self) -> frozenset[str]:
        """Return the names of all statements."""
        return frozenset(self._texts)


def load(package: str) -> Statements:
    """Load the SQL files in the `sql` folder of a package."""
    return Statements(package)
