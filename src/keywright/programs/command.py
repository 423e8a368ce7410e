"""What the commands of programs that serve have in common: options, and how they end."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from keywright.sdk.errors import ConfigurationError

EXIT_USAGE = 2
_HELP = "Its configuration, a TOML file."

ConfigOption = Annotated[Path | None, typer.Option(metavar="FILE", help=_HELP, show_default=False)]
ConfigArgument = Annotated[Path, typer.Argument(metavar="FILE", help=_HELP)]


@contextmanager
def mistakes_told(name: str) -> Iterator[None]:
    """End the program with what is wrong, or with what has to be installed: the extra `name`."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; a {name} needs: pip install 'keywright[{name}]'")
    except ConfigurationError as error:
        fail(str(error))


def run_async(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it, on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415
    except ModuleNotFoundError:  # there is none for Windows
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def fail(message: str) -> NoReturn:
    """End the program: it was called in a wrong way."""
    typer.echo(message, err=True)
    raise typer.Exit(EXIT_USAGE)
