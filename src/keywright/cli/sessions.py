"""`keywright sessions ...`."""

from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.asking import confirm
from keywright.cli.command import Session, command
from keywright.cli.options import NoWaitOption, YesOption
from keywright.cli.output import last_part
from keywright.sdk import SessionState

app = typer.Typer(help="Sessions of people who have signed in: list, revoke.", no_args_is_help=True)


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
            help="active, expired or revoked; repeatable. Else active.",
            autocompletion=lambda: values.choices(SessionState),
        ),
    ] = None,
) -> None:
    """List sessions, newest first: your own, and everybody's if you manage users.

    Example: keywright sessions list --user ann@acme.example
    """
    states = [values.choice(SessionState, each, "--state") for each in state or ()]
    with session.client() as client:
        session.out.records(
            "sessions",
            client.sessions.list(user=user, states=states, page_size=1000),
            {
                "ID": lambda found: found.id,
                "USER": lambda found: found.user_email or last_part(found.user),
                "METHOD": lambda found: found.method,
                "STATE": lambda found: found.state,
                "CREATED": lambda found: found.create_time,
                "LAST USED": lambda found: found.last_used_time,
                "EXPIRES": lambda found: found.idle_expire_time,
                "FROM": lambda found: found.client_address,
            },
        )


@app.command()
@command
def revoke(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(metavar="SESSION", help="An id, or a full name.", show_default=False),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="All sessions of this user: an id or an e-mail address."),
    ] = None,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Revoke a session, or all of a user. When this returns, they count nowhere any more.

    Example: keywright sessions revoke 3fk9az01bqxyp8dd

    Example: keywright sessions revoke --user ann@acme.example --yes
    """
    if (name is None) == (user is None):
        raise typer.BadParameter("give a session, or --user", param_hint="SESSION")
    if name is not None:
        with session.client() as client:
            revoked = client.sessions.revoke(name, wait=not no_wait)
        session.out.changed(revoked, f"Revoked {revoked.name}.")
        return
    confirm(f"Sign {user} out everywhere?", yes=yes)
    with session.client() as client:
        count = client.sessions.revoke_all(user or "", wait=not no_wait)
    session.out.answer({"count": count}, f"Revoked {count}.")
