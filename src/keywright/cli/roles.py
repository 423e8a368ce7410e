"""`keywright roles ...`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from keywright.cli.asking import confirm
from keywright.cli.changes import Changes
from keywright.cli.command import Session, command
from keywright.cli.options import (
    DisplayNameOption,
    EtagOption,
    NoWaitOption,
    RoleArgument,
    YesOption,
)

app = typer.Typer(help="Roles: create, get, list, update, delete.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """What a role is made with, and what of it can be changed."""

    permission: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERMISSION", help="What it permits: datasets.read, labels.*; repeatable."
        ),
    ] = None
    may_hold_keys: Annotated[
        bool | None,
        typer.Option("--may-hold-keys/--no-may-hold-keys", help="Whether its users may hold keys."),
    ] = None
    display_name: DisplayNameOption = None
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None

    def changes(self, *, no_permissions: bool = False) -> Changes:
        """What of it is given."""
        changes = Changes()
        changes.either(
            "permissions", ("--permission", self.permission), ("--no-permissions", no_permissions)
        )
        changes.put("may_hold_keys", self.may_hold_keys)
        changes.put("display_name", self.display_name)
        changes.put("description", self.description)
        return changes


@app.command()
@command
def create(
    session: Session,
    role_id: Annotated[str, typer.Argument(metavar="ID", help="The id.", show_default=False)],
    options: RoleOptions,
) -> None:
    """Create a role. Its users may hold keys only if it says so.

    Example: keywright roles create auditor --permission audit.read --permission usage.read

    Example: keywright roles create trainer --permission 'datasets.*' --may-hold-keys
    """
    given = options.changes()
    with session.client() as client:
        session.out.record(client.roles.create(role_id, **given.any()))


@app.command()
@command
def get(session: Session, role: RoleArgument) -> None:
    """Show a role.

    Example: keywright roles get member
    """
    with session.client() as client:
        session.out.record(client.roles.get(role))


@app.command("list")
@command
def list_(session: Session) -> None:
    """List the roles: the built-in ones first, then by id.

    Example: keywright roles list -o json | jq -r '.roles[] | select(.may_hold_keys) | .name'
    """
    with session.client() as client:
        session.out.records(
            "roles",
            client.roles.list(page_size=1000),
            {
                "ID": lambda role: role.id,
                "NAME": lambda role: role.display_name,
                "BUILT IN": lambda role: role.built_in,
                "KEYS": lambda role: role.may_hold_keys,
                "PERMISSIONS": lambda role: role.permissions,
            },
        )


@app.command()
@command
def update(
    session: Session,
    role: RoleArgument,
    options: RoleOptions,
    no_permissions: Annotated[
        bool, typer.Option("--no-permissions", help="It permits nothing.")
    ] = False,
    etag: EtagOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Change a role, and at once what everybody who has it may do. Permissions are replaced.

    Example: keywright roles update trainer --permission datasets.read --permission labels.read
    """
    given = options.changes(no_permissions=no_permissions).given()
    with session.client() as client:
        session.out.record(client.roles.update(role, etag=etag, wait=not no_wait, **given))


@app.command()
@command
def delete(
    session: Session, role: RoleArgument, yes: YesOption = False, no_wait: NoWaitOption = False
) -> None:
    """Delete a role that no user, grant or key has.

    Example: keywright roles delete auditor --yes
    """
    confirm(f"Delete the role {role}?", yes=yes)
    with session.client() as client:
        deleted = client.roles.delete(role, wait=not no_wait)
    session.out.changed(deleted, f"Deleted {deleted.name}.")
