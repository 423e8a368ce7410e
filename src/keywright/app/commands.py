"""The commands that run on the server's side: `serve`, `dev`, `db`.

Each imports what it needs when it is called, so that `keywright --help` and the commands of callers
need neither asyncpg nor the rest of the server.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keywright.app.exits import EXIT_FAILED, fail, run_async, told

if TYPE_CHECKING:
    from keywright.app.config import Config
    from keywright.app.dev import Started
    from keywright.domain.secret import Secret

_NOTHING: Mapping[str, str] = {}
_DEFAULT_DATA_DIR = Path(".data/postgres")

OutputOption = Annotated[
    Literal["table", "json"],
    typer.Option("--output", "-o", help="For people (the default) or programs."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A TOML file with settings.", show_default=False),
]
DataDir = Annotated[
    Path, typer.Option(metavar="DIR", help="Where the embedded database keeps its data.")
]

front_commands = typer.Typer(
    help="Look into what `keywright serve --front envoy` runs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
db = typer.Typer(
    help="Prepare the database that `keywright serve` runs on.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def add_to(app: typer.Typer) -> None:
    """Add the server's commands to the `keywright` command."""
    app.command(rich_help_panel="Server")(serve)
    app.command(rich_help_panel="Server")(dev)
    app.add_typer(front_commands, name="front", rich_help_panel="Server")
    app.add_typer(db, name="db", rich_help_panel="Server")


def serve(
    config: ConfigFile = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Processes that share the port; instead of KEYWRIGHT_WORKERS.",
            show_default=False,
        ),
    ] = None,
    front: Annotated[
        str | None,
        typer.Option(
            metavar="grpc|envoy",
            help="What answers at the port; instead of KEYWRIGHT_FRONT.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve, on the database that KEYWRIGHT_DATABASE_URL names.

    Settings come from KEYWRIGHT_... variables and a TOML file; docs/guides/configuration.md lists
    them. A database is never started: use `keywright dev` for that.

    Example: KEYWRIGHT_DATABASE_URL=postgresql://user:password@db/keywright keywright serve
    """
    with told():
        options = {"KEYWRIGHT_WORKERS": workers, "KEYWRIGHT_FRONT": front}
        given = {name: value for name, value in options.items() if value is not None}
        settings = _configured(config, needs_database_url=True, given=given)
        if settings.workers > 1 or settings.front == "envoy":
            from keywright.app.workers.supervisor import supervise  # noqa: PLC0415

            if settings.front == "envoy":
                from keywright.app.front.program import check  # noqa: PLC0415

                check(settings)
            # Not on uvloop, which forks to start a program; this loop does not, beside threads.
            asyncio.run(supervise(settings, config))
        else:
            from keywright.app.serve import serve as run  # noqa: PLC0415

            run_async(run(settings))


def dev(
    config: ConfigFile = None,
    data_dir: DataDir = _DEFAULT_DATA_DIR,
    console: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where `keywright console` listens beside it; empty for none.",
            envvar="KEYWRIGHT_CONSOLE_LISTEN",
            show_envvar=False,
        ),
    ] = "127.0.0.1:7701",
    new_admin_token: Annotated[  # noqa: FBT002  typer's way to say: off unless given
        bool,
        typer.Option(
            "--new-admin-token", help="Print a new token of the first admin, and serve nothing."
        ),
    ] = False,
) -> None:
    """Try keywright: an embedded PostgreSQL, a first workspace and admin, server and console.

    The admin's token is printed once, at the first run. Lost it? A second terminal makes another:
    keywright dev --new-admin-token

    Example: keywright dev --data-dir ~/keywright-data
    """
    with told():
        defaults = {"KEYWRIGHT_LOG_FORMAT": "console"}
        settings = _configured(config, needs_database_url=False, defaults=defaults)
        from keywright.app import dev as development  # noqa: PLC0415
        from keywright.domain.names import UserName  # noqa: PLC0415

        if new_admin_token:
            admin = UserName(development.WORKSPACE, development.ADMIN)
            token = run_async(development.new_admin_token(settings, data_dir, admin))
            typer.echo(token.reveal())
        else:
            run_async(development.dev(settings, data_dir, console, _announce))


@front_commands.command("config")
def front_config(config: ConfigFile = None) -> None:
    """Print what `keywright serve --front envoy` would run: Envoy, and its configuration.

    Envoy judges it first. The directory of its files and sockets is another at each start, and
    nobody else may enter it. No secret is printed: TLS files are named.

    Example: keywright front config | jq '.files[].static_resources.listeners'
    """
    with told():
        given = {"KEYWRIGHT_FRONT": "envoy"}
        settings = _configured(config, needs_database_url=False, given=given)
        from keywright.app.front.program import check, shown  # noqa: PLC0415

        check(settings)
        typer.echo(json.dumps(shown(settings), indent=1))


@db.command()
def migrate(config: ConfigFile = None, output: OutputOption = "table") -> None:
    """Apply the migrations that the database lacks.

    Example: KEYWRIGHT_DATABASE_URL=postgresql://owner:password@db/keywright keywright db migrate
    """
    with told():
        settings, dsn = _with_database(config)
        from keywright.storage import migrate as migrations  # noqa: PLC0415

        applied = run_async(
            migrations.migrate(dsn, migrations.load(), timeout=settings.database_connect_timeout)
        )
        if output == "json":
            typer.echo(json.dumps({"applied": [each.number for each in applied]}))
            return
        for each in applied:
            typer.echo(f"{each.number:04} {each.title}: applied", err=True)
        typer.echo("The database is up to date.", err=True)


@db.command()
def status(config: ConfigFile = None, output: OutputOption = "table") -> None:
    """Say which migrations are applied and which are pending; exit with 1 if any is pending.

    Example: keywright db status --config keywright.toml
    """
    with told():
        settings, dsn = _with_database(config)
        from keywright.storage import migrate as migrations  # noqa: PLC0415

        found = run_async(
            migrations.status(dsn, migrations.load(), timeout=settings.database_connect_timeout)
        )
        rows = [
            *((one.number, one.title, one.apply_time) for one in found.applied),
            *((each.number, each.title, None) for each in found.pending),
        ]
        if output == "json":
            keys = ("number", "title", "apply_time")
            typer.echo(
                json.dumps(
                    [dict(zip(keys, row, strict=True)) for row in rows], default=datetime.isoformat
                )
            )
        else:
            for number, title, applied in rows:
                when = f"applied {applied:%Y-%m-%d %H:%M:%SZ}" if applied else "pending"
                typer.echo(f"{number:04} {title}: {when}")
    if found.pending:
        raise typer.Exit(EXIT_FAILED)


@db.command()
def bootstrap(
    config: ConfigFile = None,
    workspace: Annotated[str, typer.Option(help="The id of the first workspace.")] = "default",
    admin: Annotated[str, typer.Option(help="The e-mail of its admin.")] = "admin@localhost",
) -> None:
    """Create a workspace with its admin, and print the admin's token; once.

    Example: ADMIN=$(keywright db bootstrap --workspace acme --admin you@acme.example)
    """
    with told():
        settings, dsn = _with_database(config)
        from keywright.app.composition import Parts  # noqa: PLC0415

        async def run() -> "Secret[str] | None":
            parts = await Parts.open(settings, dsn)
            try:
                bootstrap = await parts.bootstrap()
                return await bootstrap.first_admin(workspace, admin)
            finally:
                await parts.close()

        token = run_async(run())
    if token is None:
        fail(f"The workspace {workspace} is there already; see `keywright db admin-token`.")
    typer.echo(token.reveal())


@db.command("admin-token")
def admin_token(
    config: ConfigFile = None,
    workspace: Annotated[str, typer.Option(help="The id of the workspace.")] = "default",
    user: Annotated[str, typer.Option(help="Whose key: an id or an e-mail.")] = "admin@localhost",
) -> None:
    """Make a new key for a user and print its token: for when the last admin token is lost.

    Example: ADMIN=$(keywright db admin-token --user you@acme.example)
    """
    with told():
        settings, dsn = _with_database(config)
        from keywright.app.dev import admin_token as make  # noqa: PLC0415
        from keywright.domain.names import UserName  # noqa: PLC0415

        token = run_async(
            make(settings, dsn, UserName.parse(f"workspaces/{workspace}/users/{user}", "user"))
        )
        typer.echo(token.reveal())


def _configured(
    config_file: Path | None,
    *,
    needs_database_url: bool,
    defaults: Mapping[str, str] = _NOTHING,
    given: Mapping[str, str] = _NOTHING,
) -> "Config":
    """The configuration; the environment wins over `defaults`, and what is `given` over it."""
    from keywright.app.config import load  # noqa: PLC0415
    from keywright.app.lines import STDERR  # noqa: PLC0415
    from keywright.app.log import configure  # noqa: PLC0415

    settings = load({**defaults, **os.environ, **given}, config_file)
    settings.verify(needs_database_url=needs_database_url)
    configure(settings.log_level, settings.log_format, STDERR)
    return settings


def _with_database(config_file: Path | None) -> "tuple[Config, str]":
    settings = _configured(config_file, needs_database_url=True)
    assert settings.database_url is not None, "verify() asks for it"  # noqa: S101
    return settings, settings.database_url.reveal()


def _announce(started: "Started") -> None:
    """What a newcomer sees: on stderr, but for the token itself."""
    token = started.token
    typer.echo(f"\nkeywright listens on {started.target}, workspace `default`.\n", err=True)
    if started.console is not None:
        typer.echo(f"The console, where people manage keys: {started.console}\n", err=True)
    if started.console is not None and started.sign_in is not None:
        link = f"{started.console}/sign-in/link?token={started.sign_in.reveal()}"
        typer.echo(
            f"To sign in there as the admin, once, within 5 minutes:\n\n  {link}\n", err=True
        )
    if token is None:
        typer.echo(
            "The admin's token was printed at the first run. For a new one: make admin-token, or\n"
            "keywright dev --new-admin-token with the same --data-dir.\n",
            err=True,
        )
        return
    typer.echo("The admin's token, shown this once:\n", err=True)
    typer.echo(f"  {token.reveal()}\n")
    typer.echo(
        "Try it, in another terminal:\n\n"
        "  export KEYWRIGHT_API_KEY=...   # the token above\n"
        "  .venv/bin/keywright whoami\n",
        err=True,
    )
