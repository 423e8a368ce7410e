"""What an update is to change: what is given on the command line, and nothing else."""

from typing import Any

import typer

Option = tuple[str, Any]


class Changes:
    """Collects what is given, each by the name that the SDK has for it.

    An option is given here as its name and its value. What is None or a list of nothing was not
    given to the command.
    """

    def __init__(self) -> None:
        self._given: dict[str, Any] = {}

    def put(self, name: str, value: object) -> None:
        """A new value."""
        if value is not None and value not in ([], {}):
            self._given[name] = value

    def clear(self, name: str) -> None:
        """That there is to be none."""
        self._given[name] = None

    def either(self, name: str, value: Option, none: Option) -> None:
        """A new value, or that there is to be none: not both."""
        if value[1] == "":  # an empty shell variable must not take a limit away
            raise typer.BadParameter(f"is empty; {none[0]} takes it away", param_hint=value[0])
        self.put(name, value[1])
        if not none[1]:
            return
        if name in self._given:
            raise typer.BadParameter("give only one of these", param_hint=f"{value[0]}, {none[0]}")
        self.clear(name)

    def any(self) -> dict[str, Any]:
        """All that is given, which may be nothing."""
        return self._given

    def given(self) -> dict[str, Any]:
        """All that is given; it is a mistake to give nothing."""
        if not self._given:
            raise typer.BadParameter("nothing to change is given; --help shows what can be")
        return self._given
