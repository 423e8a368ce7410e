"""`keywright grants ...`."""

from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.asking import confirm
from keywright.cli.command import Session, command
from keywright.cli.options import GrantArgument, NoWaitOption, YesOption
from keywright.cli.output import last_part

app = typer.Typer(help="Grants: create, get, list, delete.", no_args_is_help=True)


@app.command()
@command
def create(
    session: Session,
    user: Annotated[str, typer.Option(metavar="USER", help="To whom: an id or an e-mail address.")],
    resource: Annotated[
        str, typer.Option(metavar="PATH", help="On this and all below: projects/abc.")
    ],
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="What: viewer, editor, manager or another role.")
    ],
    grant_id: Annotated[
        str, typer.Option(metavar="ID", help="The id, if you want to choose.", show_default=False)
    ] = "",
) -> None:
    """Give a user what a role permits, on a resource and everything below it.

    Example: keywright grants create --user ann@acme.example --resource projects/abc --role editor
    """
    with session.client() as client:
        session.out.record(client.grants.create(user, resource, role, grant_id=grant_id))


@app.command()
@command
def get(session: Session, grant: GrantArgument) -> None:
    """Show a grant.

    Example: keywright grants get ann-abc
    """
    with session.client() as client:
        session.out.record(client.grants.get(grant))


@app.command("list")
@command
def list_(
    session: Session,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="To this user: an id or an e-mail address.")
    ] = None,
    resource: Annotated[str | None, typer.Option(metavar="PATH", help="On exactly this.")] = None,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="Of this role.")] = None,
) -> None:
    """List grants, newest first.

    Example: keywright grants list --resource projects/abc
    """
    exactly = values.not_empty(resource, "--resource")
    with session.client() as client:
        session.out.records(
            "grants",
            client.grants.list(user=user, resource=exactly or "", role=role, page_size=1000),
            {
                "ID": lambda grant: grant.id,
                "USER": lambda grant: grant.user_email or last_part(grant.user),
                "RESOURCE": lambda grant: grant.resource,
                "ROLE": lambda grant: last_part(grant.role),
                "CREATED": lambda grant: grant.create_time,
            },
        )


@app.command()
@command
def delete(
    session: Session, grant: GrantArgument, yes: YesOption = False, no_wait: NoWaitOption = False
) -> None:
    """Take a grant away. When this returns, it counts nowhere any more.

    Example: keywright grants delete ann-abc --yes
    """
    confirm(f"Take the grant {grant} away?", yes=yes)
    with session.client() as client:
        deleted = client.grants.delete(grant, wait=not no_wait)
    session.out.changed(deleted, f"Deleted {deleted.name}.")
