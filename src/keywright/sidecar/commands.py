"""The commands `keywright sidecar` and `keywright sidecar check-config`.

Each imports what it needs when it is called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keywright.programs.caller import Caller
from keywright.programs.command import ConfigArgument, ConfigOption, fail, mistakes_told, run_async

if TYPE_CHECKING:
    from keywright.sdk.drop_ins.routes import Rule
    from keywright.sidecar.config import Config

sidecar = typer.Typer(rich_markup_mode="rich")


def add_to(app: typer.Typer) -> None:
    """Add the sidecar's commands to the `keywright` command."""
    app.add_typer(sidecar, name="sidecar", rich_help_panel="Server")


@sidecar.callback(invoke_without_command=True)
def run(
    ctx: typer.Context,
    config: ConfigOption = None,
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
        fail("--config is needed; docs/guides/sidecar.md tells what belongs in it")
    with mistakes_told("sidecar"):
        from keywright.programs.signals import stop_at_a_signal  # noqa: PLC0415
        from keywright.sidecar.config import Front  # noqa: PLC0415
        from keywright.sidecar.front.program import Order, become_envoy  # noqa: PLC0415
        from keywright.sidecar.policy import read_config  # noqa: PLC0415
        from keywright.sidecar.serve import over_grpc, serve  # noqa: PLC0415

        settings, caller = read_config(config, front), Caller.of(ctx)
        if settings.front is Front.ENVOY:
            become_envoy(settings, Order(str(Path.cwd()), str(config), caller))

        async def serving() -> None:
            await serve(settings, caller.authenticator(), stop_at_a_signal(), over_grpc)

        run_async(serving())


@sidecar.command("check-config")
def check_config(file: ConfigArgument) -> None:
    """Verify a configuration, and show which route wins where several match.

    Example: keywright sidecar check-config sidecar.toml
    """
    with mistakes_told("sidecar"):
        from keywright.sidecar.policy import read_config  # noqa: PLC0415

        config = read_config(file)
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
