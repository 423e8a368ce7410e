"""`keywright keys ...`: making keys and finding them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from keywright.cli import key_changes, values
from keywright.cli.command import Session, command
from keywright.cli.key_options import KeyFilterOptions, KeyOptions, Lifetime
from keywright.cli.options import KeyArgument
from keywright.cli.output import last_part
from keywright.sdk import KeyState

_ORDERS = ("create_time", "display_name", "expire_time", "last_used_time", "rotate_time")

app = typer.Typer(help="API keys: create, list, rotate, revoke and more.", no_args_is_help=True)
app.add_typer(key_changes.app)


@app.command()
@command
def create(
    session: Session,
    options: KeyOptions,
    lifetime: Lifetime,
    key_id: Annotated[
        str, typer.Option(metavar="ID", help="The id, if you want to choose.", show_default=False)
    ] = "",
) -> None:
    """Create a key. Its token goes to stdout, alone, and is shown this once.

    Example: KEY=$(keywright keys create --user ann@acme.example --ttl 12w)

    Example: keywright keys create --display-name ci --scope datasets.read -o json
    """
    attributes = options.attributes(lifetime)
    with session.client() as client:
        session.out.token(client.keys.create(key_id=key_id, **attributes))


@app.command()
@command
def ensure(
    session: Session,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id.", show_default=False)],
    options: KeyOptions,
    lifetime: Lifetime,
) -> None:
    """Create a key unless there is one of this id; then stdout stays empty.

    A key that is there must have the same attributes, but for its expiry. If its token is lost,
    `keys rotate` makes a new one.

    Example: keywright keys ensure ci-deploy --user ci --scope datasets.read > new.token
    """
    attributes = options.attributes(lifetime)
    with session.client() as client:
        session.out.token(client.keys.ensure(key_id, **attributes))


@app.command()
@command
def get(session: Session, key: KeyArgument) -> None:
    """Show a key.

    Example: keywright keys get ci-deploy -o json
    """
    with session.client() as client:
        session.out.record(client.keys.get(key))


@app.command()
@command
def lookup(
    session: Session,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX", help="The 12 characters after kw_live_.", show_default=False
        ),
    ],
) -> None:
    """Show the key whose token, or token before the last rotation, has a prefix.

    Example: keywright keys lookup j419xabT5ktr
    """
    with session.client() as client:
        session.out.record(client.keys.lookup(prefix))


@app.command("list")
@command
def list_(
    session: Session,
    options: KeyFilterOptions,
    every_state: Annotated[bool, typer.Option("--all", help="In every state.")] = False,
    non_revoked: Annotated[
        bool, typer.Option("--non-revoked", help="In every state but revoked.")
    ] = False,
    order_by: Annotated[
        str,
        typer.Option(
            metavar="FIELD",
            help=f"{', '.join(_ORDERS)}; 'FIELD desc' for the other way round. Else newest first.",
            autocompletion=lambda: list(_ORDERS),
            show_default=False,
        ),
    ] = "",
) -> None:
    """List keys; only active ones unless told otherwise.

    Example: keywright keys list --user ann@acme.example --all

    Example: keywright keys list --unused-since 12w -o json | jq -r '.keys[].name'
    """
    values.only_one({"--all": every_state, "--non-revoked": non_revoked, "--state": options.state})
    matching = options.matching(datetime.now(UTC))
    if every_state or non_revoked:
        left_out = {KeyState.UNKNOWN, *([KeyState.REVOKED] if non_revoked else [])}
        matching["states"] = [each for each in KeyState if each not in left_out]
    with session.client() as client:
        session.out.records(
            "keys",
            client.keys.list(order_by=order_by, page_size=1000, **matching),
            {
                "ID": lambda key: key.id,
                "NAME": lambda key: key.display_name,
                "USER": lambda key: key.user_email or last_part(key.user),
                "PREFIX": lambda key: key.prefix,
                "STATE": lambda key: key.state,
                "CREATED": lambda key: key.create_time,
                "EXPIRES": lambda key: key.expire_time,
                "LAST USED": lambda key: key.last_used_time,
            },
        )
