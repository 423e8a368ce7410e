"""`keywright users ...`: what becomes of a user after the creation."""

from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.asking import confirm
from keywright.cli.changes import Changes
from keywright.cli.command import Session, command
from keywright.cli.options import (
    DisplayNameOption,
    EtagOption,
    ForeignIdOption,
    LabelOption,
    NoLabelsOption,
    NoWaitOption,
    UserArgument,
    YesOption,
)

app = typer.Typer()


@app.command()
@command
def update(
    session: Session,
    user: UserArgument,
    email: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Another e-mail address.")
    ] = None,
    no_email: Annotated[
        bool, typer.Option("--no-email", help="None; only for a service user.")
    ] = False,
    display_name: DisplayNameOption = None,
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Another role; it counts at once.")
    ] = None,
    external_id: ForeignIdOption = None,
    no_external_id: Annotated[
        bool, typer.Option("--no-external-id", help="In no other system.")
    ] = False,
    label: LabelOption = None,
    no_labels: NoLabelsOption = False,
    etag: EtagOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Change a user: what is given, and nothing else. Labels are replaced.

    Example: keywright users update ann@acme.example --role collaborator

    Example: keywright users update ann@acme.example --email ann.lee@acme.example
    """
    changes = Changes()
    changes.either("email", ("--email", email), ("--no-email", no_email))
    changes.put("display_name", display_name)
    changes.put("role", role)
    changes.either(
        "external_id", ("--external-id", external_id), ("--no-external-id", no_external_id)
    )
    changes.either("labels", ("--label", values.labels(label)), ("--no-labels", no_labels))
    given = changes.given()
    with session.client() as client:
        session.out.record(client.users.update(user, etag=etag, wait=not no_wait, **given))


@app.command()
@command
def link(
    session: Session,
    user: UserArgument,
    console: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The address of the console; without it only what the link carries is printed.",
            envvar="KEYWRIGHT_CONSOLE_URL",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Make a link that signs a person in to the console, once, within 5 minutes; also yourself.

    Whoever has it signs in as that person.

    Example: keywright users link ann@acme.example --console https://keys.acme.example
    """
    if console and not console.startswith(("https://", "http://")):
        raise typer.BadParameter(
            "an address begins with https://, or on this machine http://", param_hint="--console"
        )
    with session.client() as client:
        made = client.sessions.create_link(user)
    session.out.link(made, console)


@app.command()
@command
def disable(session: Session, user: UserArgument, no_wait: NoWaitOption = False) -> None:
    """Disable a user: none of their keys stands until they are enabled again.

    Example: keywright users disable ann@acme.example
    """
    with session.client() as client:
        changed = client.users.disable(user, wait=not no_wait)
    session.out.changed(changed, f"Disabled {changed.name}.")


@app.command()
@command
def enable(session: Session, user: UserArgument) -> None:
    """Enable a user again. Keys that were revoked stay so.

    Example: keywright users enable ann@acme.example
    """
    with session.client() as client:
        changed = client.users.enable(user)
    session.out.changed(changed, f"Enabled {changed.name}.")


@app.command()
@command
def delete(
    session: Session,
    user: UserArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Also if they have keys; these are revoked.")
    ] = False,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Delete a user with their grants. The records of their keys stay, revoked.

    Example: keywright users delete ann@acme.example --force --yes
    """
    keys = " and revoke their keys" if force else ""
    confirm(f"Delete the user {user}{keys}?", yes=yes)
    with session.client() as client:
        deleted = client.users.delete(user, force=force, wait=not no_wait)
    session.out.changed(deleted, f"Deleted {deleted.name}.")
