"""`keywright keys ...`."""

import sys
from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.command import Session, command
from keywright.cli.output import visible
from keywright.sdk import KeyState

app = typer.Typer(help="API keys: create, get, list, revoke, delete.", no_args_is_help=True)

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="An id, or a full name.", show_default=False)
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated."),
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask. Nothing is asked without a terminal.")
]


@app.command()
@command
def create(
    session: Session,
    display_name: Annotated[
        str, typer.Option(metavar="TEXT", help="A name for people.", show_default=False)
    ] = "",
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Whose: an id or an e-mail address. Else your own."),
    ] = None,
    key_id: Annotated[
        str, typer.Option(metavar="ID", help="The id, if you want to choose.", show_default=False)
    ] = "",
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Narrow the key to what this role may do."),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERMISSION", help="Narrow it to permissions like datasets.read; repeatable."
        ),
    ] = None,
    resource: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="Bind it to this and all below: projects/abc.", show_default=False
        ),
    ] = "",
    environment: Annotated[
        str, typer.Option(metavar="ID", help="live or test, for example.", show_default=False)
    ] = "",
    allowed_network: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Where it may be used from; repeatable."),
    ] = None,
    label: LabelOption = None,
    ttl: Annotated[
        str | None, typer.Option(metavar="TTL", help="How long it lives: 30s, 15m, 12h, 7d, 2w.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when: 2026-12-31T00:00:00Z.")
    ] = None,
) -> None:
    """Create a key. Its token goes to stdout, alone, and is shown this once.

    Example: KEY=$(keywright keys create --user ann@acme.example --ttl 12w)

    Example: keywright keys create --display-name ci --scope datasets.read -o json
    """
    if ttl is not None and expires is not None:
        raise typer.BadParameter("give one of the two", param_hint="--ttl, --expires")
    lifetime = None if ttl is None else values.ttl(ttl)
    expire_time = None if expires is None else values.moment(expires)
    labels = values.labels(label or ())
    with session.client() as client:
        created = client.keys.create(
            display_name=display_name,
            user=user,
            key_id=key_id,
            role=role,
            scopes=scope or (),
            resource=resource,
            environment=environment,
            allowed_networks=allowed_network or (),
            labels=labels,
            ttl=lifetime,
            expire_time=expire_time,
        )
    if session.out.is_json:
        session.out.document(
            {"key": created.key, "token": created.token.reveal(), "revision": created.revision}
        )
        return
    session.out.record(created.key, aside=True)
    session.out.note("The token, shown this once:")
    session.out.line(created.token.reveal())


@app.command()
@command
def get(session: Session, key: KeyArgument) -> None:
    """Show a key.

    Example: keywright keys get ci-deploy -o json
    """
    with session.client() as client:
        session.out.record(client.keys.get(key))


@app.command("list")
@command
def list_(
    session: Session,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Of this user: an id or an e-mail address.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="active, disabled, expired or revoked; repeatable. Else active ones only.",
            autocompletion=lambda: values.choices(KeyState),
        ),
    ] = None,
    every_state: Annotated[bool, typer.Option("--all", help="Keys in every state.")] = False,  # noqa: FBT002
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="Narrowed to this role.")] = None,
    resource: Annotated[
        str, typer.Option(metavar="PATH", help="Bound to exactly this.", show_default=False)
    ] = "",
    environment: Annotated[
        str, typer.Option(metavar="ID", help="Of this environment.", show_default=False)
    ] = "",
    label: LabelOption = None,
    search: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="With this in name, prefix or e-mail address.", show_default=False
        ),
    ] = "",
) -> None:
    """List keys, newest first.

    Example: keywright keys list --user ann@acme.example --all

    Example: keywright keys list -o json | jq -r '.keys[].name'
    """
    names = values.choices(KeyState) if every_state else state or []
    states = [values.choice(KeyState, each, "--state") for each in names]
    labels = values.labels(label or ())
    with session.client() as client:
        session.out.records(
            "keys",
            client.keys.list(
                user=user,
                states=states,
                role=role,
                resource=resource,
                environment=environment,
                labels=labels,
                search=search,
                page_size=1000,
            ),
            {
                "ID": lambda key: key.id,
                "NAME": lambda key: key.display_name,
                "USER": lambda key: key.user_email or key.user.rpartition("/")[2],
                "PREFIX": lambda key: key.prefix,
                "STATE": lambda key: key.state,
                "CREATED": lambda key: key.create_time,
                "EXPIRES": lambda key: key.expire_time,
                "LAST USED": lambda key: key.last_used_time,
            },
        )


@app.command()
@command
def revoke(session: Session, key: KeyArgument, yes: YesOption = False) -> None:  # noqa: FBT002
    """Revoke a key, for good. When this returns, it is dead everywhere.

    Example: keywright keys revoke ci-deploy --yes
    """
    _confirm(f"Revoke {key} for good?", yes=yes)
    with session.client() as client:
        revoked = client.keys.revoke(key)
    session.out.changed(revoked, f"Revoked {revoked.name}.")


@app.command()
@command
def delete(session: Session, key: KeyArgument, yes: YesOption = False) -> None:  # noqa: FBT002
    """Delete a key's record, and with it the key. The audit trail keeps what there was.

    Example: keywright keys delete ci-deploy --yes
    """
    _confirm(f"Delete {key} and its record?", yes=yes)
    with session.client() as client:
        deleted = client.keys.delete(key)
    session.out.changed(deleted, f"Deleted {deleted.name}.")


def _confirm(question: str, *, yes: bool) -> None:
    if yes or sys.stdin is None or not sys.stdin.isatty():
        return
    # Not typer.confirm: it writes to stdout too, which is for results.
    typer.echo(f"{visible(question)} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
