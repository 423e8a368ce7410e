"""The commands `keywright sidecar` and `keywright sidecar check-config`.

Each imports what it needs when it is called.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from keywright.sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from keywright.sdk.drop_ins.routes import Rule
    from keywright.sidecar.caller import Caller
    from keywright.sidecar.config import Config

EXIT_USAGE = 2
_FILE_HELP = "The sidecar's configuration, a TOML file."

sidecar = typer.Typer(rich_markup_mode="rich")


def add_to(app: typer.Typer) -> None:
    """Add the sidecar's commands to the `keywright` command."""
    app.add_typer(sidecar, name="sidecar", rich_help_panel="Server")


@sidecar.callback(invoke_without_command=True)
def run(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help=_FILE_HELP, show_default=False)
    ] = None,
    front: Annotated[
        str | None,
        typer.Option(
            metavar="grpc|envoy",
            help="What answers Envoy: instead of what the file says.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say to a proxy (Envoy, nginx, Traefik, Caddy) of each request who asks, and whether they may.

    The server's address and the key to call it with are those of every command: KEYWRIGHT_URI and
    KEYWRIGHT_API_KEY, or --uri and --api-key-file before `sidecar`.

    Example: keywright --api-key-file sidecar.key sidecar --config sidecar.toml
    """
    if ctx.invoked_subcommand is not None:
        return
    if config is None:
        _fail("--config is needed; docs/guides/sidecar.md tells what belongs in it")
    try:
        from keywright.programs.signals import stop_at_a_signal  # noqa: PLC0415
        from keywright.sidecar.config import Front  # noqa: PLC0415
        from keywright.sidecar.front.program import Order, become_envoy  # noqa: PLC0415
        from keywright.sidecar.policy import read_config  # noqa: PLC0415
        from keywright.sidecar.serve import over_grpc, serve  # noqa: PLC0415

        settings, caller = read_config(config, front), _caller(ctx)
        if settings.front is Front.ENVOY:
            become_envoy(settings, Order(str(Path.cwd()), str(config), caller))

        async def serving() -> None:
            await serve(settings, caller.authenticator(), stop_at_a_signal(), over_grpc)

        _run_async(serving())
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; a sidecar needs: pip install 'keywright[sidecar]'")
    except ConfigurationError as error:
        _fail(str(error))


@sidecar.command("check-config")
def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_FILE_HELP)],
) -> None:
    """Verify a configuration, and show which route wins where several match.

    Example: keywright sidecar check-config sidecar.toml
    """
    from keywright.sidecar.policy import read_config  # noqa: PLC0415

    try:
        config = read_config(file)
    except ConfigurationError as error:
        _fail(str(error))
    typer.echo("\n".join(_described(config)))


def _described(config: "Config") -> list[str]:
    routes = config.routes
    lines = [f"Front, which answers Check: {config.front.value}"]
    lines += [f"Routes, the first that matches a path decides ({len(routes.ordered)}):"]
    lines += [f"  {route}: {_needs(route.rule)}" for route in routes.ordered]
    other = "denied" if routes.default is None else _needs(routes.default)
    lines.append(f"  everything else: {other}")
    if overlaps := routes.overlaps():
        lines.append("Where two match, the more specific one wins:")
        lines += [f"  {each.example}: {each.wins} wins over {each.loses}" for each in overlaps]
    return lines


def _needs(rule: "Rule") -> str:
    if rule.public:
        return "public, no key is asked for"
    needs = " and ".join(rule.permissions) or "any key that stands"
    if rule.resource:
        needs += f", on {rule.resource}"
    if rule.required_environment:
        needs += f", of environment {rule.required_environment}"
    return needs


def _caller(ctx: typer.Context) -> "Caller":
    from keywright.sidecar.caller import Caller  # noqa: PLC0415

    options = ctx.find_root().params

    def text(name: str) -> str | None:
        return str(options[name]) if options.get(name) else None

    return Caller(
        uri=text("uri"),
        api_key_file=text("api_key_file"),
        ca_file=text("ca_file"),
        certificate_file=text("certificate_file"),
        key_file=text("key_file"),
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
    raise typer.Exit(EXIT_USAGE)
