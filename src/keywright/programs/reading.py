"""Reads a file of TOML, and notes each mistake with where it is and what would be right."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from keywright.sdk.errors import ConfigurationError

Value = TypeVar("Value")
Choice = TypeVar("Choice", bound=Enum)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and where it is; `mistakes` is shared by all tables of a file."""

    where: str
    values: Mapping[str, Any]
    mistakes: list[str] = field(default_factory=list)

    def mistake(self, name: str, what: str) -> None:
        """Note what is wrong with a field; with the table, if it has no name."""
        self.mistakes.append(f"{self._path(name)}: {what}" if self._path(name) else what)

    def only(self, names: Sequence[str]) -> None:
        """Note each field that is none of these."""
        for name in self.values:
            if name not in names:
                close = get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
                self.mistake(name, f"there is no such field; {hint}")

    def table(self, name: str) -> "Table":
        """A table in it; an empty one where there is none."""
        found = self.values.get(name, {})
        if not isinstance(found, dict):
            self.mistake(name, "must be a table")
            found = {}
        return Table(self._path(name), found, self.mistakes)

    def tables(self, name: str) -> "list[Table]":
        """The tables of an array of tables; counted from 1 in `where`."""
        found = self.values.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.mistake(name, f"must be tables, each under [[{name}]]")
            return []
        return [
            Table(f"{self._path(name)}[{number}]", each, self.mistakes)
            for number, each in enumerate(found, start=1)
        ]

    def text(self, name: str, default: str) -> str:
        """A text."""
        found = self.values.get(name, default)
        if isinstance(found, str):
            return found
        self.mistake(name, "must be a text, in quotes")
        return default

    def parsed(self, name: str, default: Value, parse: Callable[[str], Value]) -> Value:
        """What a text says; `parse` raises ValueError with what would be right."""
        if name not in self.values or not isinstance(self.values[name], str):
            self.text(name, "")
            return default
        try:
            return parse(self.values[name])
        except ValueError as error:
            self.mistake(name, f"{self.values[name]!r}: {error}")
            return default

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts; None where there is none."""
        found = self.values.get(name)
        if found is None:
            return None
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return tuple(found)
        self.mistake(name, 'must be a list of texts: ["one", "another"]')
        return None

    def flag(self, name: str) -> bool:
        """True or false; false where there is none."""
        found = self.values.get(name, False)
        if isinstance(found, bool):
            return found
        self.mistake(name, "must be true or false")
        return False

    def count(self, name: str, default: int, *, most: int) -> int:
        """A whole number from 1."""
        found = self.values.get(name, default)
        if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= most:
            return found
        self.mistake(name, f"must be a whole number from 1 to {most}")
        return default

    def choice(self, name: str, kind: type[Choice], default: Choice) -> Choice:
        """One of an enumeration, by its value."""
        return self.parsed(name, default, lambda text: chosen(kind, text))

    def _path(self, name: str) -> str:
        return ".".join(filter(None, (self.where, name)))


def chosen(kind: type[Choice], text: str) -> Choice:
    """The member of this value.

    Raises:
        ValueError: there is none; the message names them all.
    """
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(each.value for each in kind)}") from None


def text_of(file: Path) -> str:
    """What a file says.

    Raises:
        ConfigurationError: `CONFIG_FILE_INVALID`.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise _invalid(file, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _invalid(file, "is not UTF-8 text") from error


def read(
    text: str, file: Path, said: Mapping[str, str | None], make: Callable[[Table], Value]
) -> Value:
    """What `make` makes of the text of a file.

    Args:
        text: the text.
        file: where it is from.
        said: what is said in place of what the file says, where it is not None.
        make: notes mistakes, and goes on.

    Raises:
        ConfigurationError: `CONFIG_FILE_INVALID`, with every mistake in it.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(file, f"is not TOML: {error}") from error
    instead = {name: value for name, value in said.items() if value is not None}
    root = Table("", {**values, **instead})
    made = make(root)
    if root.mistakes:
        raise _invalid(file, *root.mistakes)
    return made


def _invalid(file: Path, *mistakes: str) -> ConfigurationError:
    told = "".join(f"\n  {mistake}" for mistake in mistakes)
    return ConfigurationError(f"{file}:{told}", reason="CONFIG_FILE_INVALID")
