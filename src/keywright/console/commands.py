"""The commands `keywright console` and `keywright console check-config`.

Each imports what it needs when it is called.
"""

from typing import Annotated

import typer

from keywright.programs.caller import Caller
from keywright.programs.command import ConfigArgument, ConfigOption, mistakes_told, run_async

console = typer.Typer(rich_markup_mode="rich")


def add_to(app: typer.Typer) -> None:
    """Add the console's commands to the `keywright` command."""
    app.add_typer(console, name="console", rich_help_panel="Server")


@console.callback(invoke_without_command=True)
def run(
    ctx: typer.Context,
    config: ConfigOption = None,
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
    with mistakes_told("console"):
        from keywright.console.serve import serve  # noqa: PLC0415
        from keywright.console.settings import read_config  # noqa: PLC0415

        settings, caller = read_config(config, listen), Caller.of(ctx)
        provider = settings.openid_connect
        workspace = None if provider is None else provider.workspace

        async def serving() -> None:
            client = caller.anonymous_client(workspace)
            await serve(settings, client, stop_with_stdin=stop_with_stdin)

        run_async(serving())


@console.command("check-config")
def check_config(file: ConfigArgument) -> None:
    """Verify a configuration, and show how people can sign in.

    Example: keywright console check-config console.toml
    """
    with mistakes_told("console"):
        from keywright.console.settings import read_config  # noqa: PLC0415

        config = read_config(file)
    ways = sorted(each.value for each in config.sign_in)
    if config.openid_connect is not None:
        ways.append(f"OpenID Connect ({config.openid_connect.issuer})")
    typer.echo(f"Listens on {config.listen}; browsers see {config.public_url or 'the same'}.")
    typer.echo(f"People sign in by {', '.join(ways)}.")
