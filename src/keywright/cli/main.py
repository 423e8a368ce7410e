"""The `keywright` command, as far as callers need it; gRPC is imported with the first call."""

from typing import Annotated

import typer

from keywright import __version__
from keywright.cli import (
    audit,
    bench,
    grants,
    imports,
    keys,
    roles,
    sessions,
    usage,
    users,
    workspaces,
)
from keywright.cli.asking import presented_token
from keywright.cli.command import Session, command, shared_options
from keywright.cli.exits import ExitCode, epilog
from keywright.cli.explain import explain
from keywright.cli.options import (
    AskedResourceOption,
    ClientAddressOption,
    RequiredEnvironmentOption,
)
from keywright.sdk.errors import PermissionDenied, Unauthenticated

app = typer.Typer(
    epilog=epilog(),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they can show local variables, secrets among them
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(shared_options)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(grants.app, name="grants")
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(sessions.app, name="sessions")
app.command("usage")(usage.usage)
app.add_typer(audit.app, name="audit")
app.add_typer(imports.app, name="import")


@app.command(context_settings={"allow_extra_args": True})
@command
def authenticate(
    session: Session,
    resource: AskedResourceOption = "",
    required_permission: Annotated[
        list[str] | None,
        typer.Option(metavar="PERMISSION", help="What it must be allowed to do; repeatable."),
    ] = None,
    required_environment: RequiredEnvironmentOption = "",
    client_address: ClientAddressOption = "",
) -> None:
    """Say who presents a token and what it may do; exit with 9 if it is denied.

    The token is read from stdin, or asked for on a terminal: never from the command line, where
    others can see it.

    Example: keywright authenticate --required-permission datasets.read < token.txt
    """
    token = presented_token(session.ctx)
    with session.client() as client:
        try:
            principal = client.authenticate(
                token,
                resource=resource,
                required_permissions=required_permission or (),
                required_environment=required_environment,
                client_address=client_address,
            )
        except (Unauthenticated, PermissionDenied) as denied:
            session.out.error(denied)
            raise typer.Exit(ExitCode.TOKEN_DENIED) from None
    session.out.record(principal)


@app.command()
@command
def whoami(session: Session) -> None:
    """Say who your own key proves, and what it may do.

    Example: keywright whoami -o json
    """
    with session.client() as client:
        session.out.record(client.whoami())


app.command()(explain)
app.command(context_settings={"allow_extra_args": True})(bench.bench)


@app.command()
@command
def version(session: Session) -> None:
    """Say the version of this program.

    Example: keywright version -o json
    """
    if session.out.is_json:
        session.out.document({"version": __version__})
    else:
        session.out.line(f"keywright {__version__}")
