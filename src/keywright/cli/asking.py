"""Asking a person before something ends, or for a token; a script means what it says."""

import sys

import typer

from keywright.cli.output import visible

# Beyond 8 KiB nothing is a token; the server says so.
_TOKEN_MAX_BYTES = 16 * 1024


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


def presented_token(ctx: typer.Context) -> str:
    """The token on stdin, or what a person types: never on the command line.

    Raises:
        typer.BadParameter: it is on the command line, or there is none.
    """
    if ctx.args:
        raise typer.BadParameter(
            "a token is not taken from the command line, where others can see it: pipe it in, or "
            "wait to be asked",
            param_hint="token",
        )
    if sys.stdin is not None and sys.stdin.isatty():
        asked: str = typer.prompt("Token", hide_input=True, err=True)
        return asked.strip()
    piped = b"" if sys.stdin is None else sys.stdin.buffer.read(_TOKEN_MAX_BYTES)
    token = piped.decode(errors="replace").strip()
    if not token:
        raise typer.BadParameter("there is none on stdin", param_hint="token")
    return token
