"""The commands `keywright console` and `keywright console check-config`.

Each imports what it needs when it is called.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from keywright.sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from keywright.sdk.client import AsyncClient

_EXIT_USAGE = 2
_FILE_HELP = "The console's configuration, a TOML file."

console = typer.Typer(rich_markup_mode="rich")


def add_to(app: typer.Typer) -> None:
    """Add the console's commands to the `keywright` command."""
    app.add_typer(console, name="console", rich_help_panel="Server")


@console.callback(invoke_without_command=True)
def run(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help=_FILE_HELP, show_default=False)
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Where to listen, in place of what the file says.",
            show_default=False,
        ),
    ] = None,
    stop_with_stdin: Annotated[  # noqa: FBT002  typer's way to say: off unless given
        bool, typer.Option("--stop-with-stdin", hidden=True)
    ] = False,
) -> None:
    """Serve the pages where people manage their keys.

    It has no key of its own: whoever signs in acts for themselves. The server's address is that of
    every command: KEYWRIGHT_URI, or --uri before `console`.

    Example: keywright console
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        from keywright.console.serve import serve  # noqa: PLC0415
        from keywright.console.settings import read_config  # noqa: PLC0415

        settings = read_config(config, listen)

        async def serving() -> None:
            provider = settings.openid_connect
            workspace = None if provider is None else provider.workspace
            await serve(settings, _client(ctx, workspace), stop_with_stdin=stop_with_stdin)

        _run_async(serving())
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; a console needs: pip install 'keywright[console]'")
    except ConfigurationError as error:
        _fail(str(error))


@console.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_FILE_HELP)],
) -> None:
    """Verify a configuration, and show how people can sign in.

    Example: keywright console check-config console.toml
    """
    from keywright.console.settings import read_config  # noqa: PLC0415

    try:
        config = read_config(file)
    except ConfigurationError as error:
        _fail(str(error))
    ways = sorted(each.value for each in config.sign_in)
    if config.openid_connect is not None:
        ways.append(f"OpenID Connect ({config.openid_connect.issuer})")
    typer.echo(f"Listens on {config.listen}; browsers see {config.public_url or 'the same'}.")
    typer.echo(f"People sign in by {', '.join(ways)}.")


def _client(ctx: typer.Context, workspace: str | None) -> "AsyncClient":
    from keywright.sdk.client import AsyncClient  # noqa: PLC0415

    options = ctx.find_root().params

    def file(name: str) -> Path | None:
        return Path(options[name]) if options.get(name) else None

    return AsyncClient(
        options.get("uri"),
        anonymous=True,
        workspace=workspace,
        ca_file=file("ca_file"),
        certificate_file=file("certificate_file"),
        key_file=file("key_file"),
        allow_plaintext=bool(options.get("allow_plaintext")),
    )


def _run_async(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415
    except ModuleNotFoundError:  # there is none for Windows
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(_EXIT_USAGE)
