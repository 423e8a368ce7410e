"""`keywright users ...`."""

from typing import Annotated

import typer

from keywright.cli import user_changes, values
from keywright.cli.command import Session, command
from keywright.cli.options import ForeignIdOption, LabelOption, UserArgument
from keywright.cli.output import last_part
from keywright.sdk import UserKind, UserState

app = typer.Typer(help="Users: create, list, update, disable and more.", no_args_is_help=True)
app.add_typer(user_changes.app)


@app.command()
@command
def create(
    session: Session,
    email: Annotated[
        str,
        typer.Argument(
            metavar="EMAIL",
            help="The e-mail address; only a service user needs none.",
            show_default=False,
        ),
    ] = "",
    role: Annotated[
        str | None, typer.Option(metavar="ROLE", help="member, admin, ...; else guest.")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="human or service.",
            autocompletion=lambda: values.choices(UserKind),
        ),
    ] = "human",
    display_name: Annotated[
        str, typer.Option(metavar="TEXT", help="A name for people.", show_default=False)
    ] = "",
    user_id: Annotated[
        str, typer.Option(metavar="ID", help="The id, if you want to choose.", show_default=False)
    ] = "",
    external_id: ForeignIdOption = None,
    resource: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="For a service user: grants on this or below are all that it may do.",
        ),
    ] = None,
    label: LabelOption = None,
) -> None:
    """Create a user.

    Example: keywright users create ann@acme.example --role member

    Example: keywright users create --kind service --user-id ci --role collaborator
    """
    chosen = values.choice(UserKind, kind, "--kind")
    labels = values.labels(label)
    bound = values.not_empty(resource, "--resource")
    with session.client() as client:
        user = client.users.create(
            email,
            role=role,
            kind=chosen,
            display_name=display_name,
            user_id=user_id,
            external_id=external_id or "",
            resource=bound or "",
            labels=labels,
        )
    session.out.record(user)


@app.command()
@command
def get(session: Session, user: UserArgument) -> None:
    """Show a user.

    Example: keywright users get ann@acme.example
    """
    with session.client() as client:
        session.out.record(client.users.get(user))


@app.command("list")
@command
def list_(
    session: Session,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="active or disabled; repeatable. Else all.",
            autocompletion=lambda: values.choices(UserState),
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="human or service; repeatable. Else all.",
            autocompletion=lambda: values.choices(UserKind),
        ),
    ] = None,
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="With this role.")] = None,
    external_id: ForeignIdOption = None,
    resource: Annotated[
        str, typer.Option(metavar="PATH", help="Service users of this.", show_default=False)
    ] = "",
    label: LabelOption = None,
    search: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="With this in name or e-mail address.", show_default=False
        ),
    ] = "",
) -> None:
    """List users, newest first.

    Example: keywright users list --role admin --state active
    """
    states = [values.choice(UserState, each, "--state") for each in state or ()]
    kinds = [values.choice(UserKind, each, "--kind") for each in kind or ()]
    labels = values.labels(label)
    with session.client() as client:
        session.out.records(
            "users",
            client.users.list(
                states=states,
                kinds=kinds,
                role=role,
                external_id=external_id or "",
                resource=resource,
                labels=labels,
                search=search,
                page_size=1000,
            ),
            {
                "ID": lambda user: user.id,
                "EMAIL": lambda user: user.email,
                "NAME": lambda user: user.display_name,
                "KIND": lambda user: user.kind,
                "ROLE": lambda user: last_part(user.role),
                "RESOURCE": lambda user: user.resource,
                "STATE": lambda user: user.state,
                "CREATED": lambda user: user.create_time,
            },
        )
