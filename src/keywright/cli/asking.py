"""Asking a person before something ends; a script means what it says."""

import sys

import typer

from keywright.cli.output import visible


def someone_to_ask(*, yes: bool) -> bool:
    """Whether a person sits there, who has not said yes already."""
    return not yes and sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask, where there is somebody to ask.

    Raises:
        typer.Abort: the answer was not yes.
    """
    if not someone_to_ask(yes=yes):
        return
    # Not typer.confirm: it writes to stdout too, which is for results.
    typer.echo(f"{visible(question)} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
