"""`keywright workspaces ...`."""

from typing import Annotated

import typer

from keywright.cli.asking import confirm
from keywright.cli.command import Session, command
from keywright.cli.options import (
    EtagOption,
    NoLabelsOption,
    NoWaitOption,
    OptionalWorkspaceArgument,
    WorkspaceArgument,
    YesOption,
)
from keywright.cli.workspace_options import NoPolicyOptions, PolicyOptions, WorkspaceOptions

app = typer.Typer(help="Workspaces: create, list, update, disable and more.", no_args_is_help=True)


@app.command()
@command
def create(
    session: Session,
    workspace_id: Annotated[str, typer.Argument(metavar="ID", help="The id.", show_default=False)],
    options: WorkspaceOptions,
    policy: PolicyOptions,
    admin_email: Annotated[
        str,
        typer.Option(
            metavar="EMAIL",
            help="The first admin, who is created too. Else there is none.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Create a workspace, with its first admin if one is named. For operators.

    Example: keywright workspaces create acme --admin-email ann@acme.example --max-ttl 12w
    """
    given = options.changes(policy, NoPolicyOptions()).any()
    with session.client() as client:
        created = client.workspaces.create(workspace_id, admin_email=admin_email, **given)
    if session.out.is_json:
        session.out.document(created)
        return
    session.out.record(created.workspace)
    if created.admin is not None:
        session.out.note(f"Its admin is {created.admin.name}, {created.admin.email}.")


@app.command()
@command
def get(session: Session, name: OptionalWorkspaceArgument = None) -> None:
    """Show a workspace: its policy, environments and permission catalogue.

    Example: keywright workspaces get -o json | jq .policy
    """
    with session.client() as client:
        session.out.record(client.workspaces.get(name))


@app.command("list")
@command
def list_(session: Session) -> None:
    """List the workspaces that you may see, by id: all of them for operators, else your own.

    Example: keywright workspaces list
    """
    with session.client() as client:
        session.out.records(
            "workspaces",
            client.workspaces.list(page_size=1000),
            {
                "ID": lambda workspace: workspace.id,
                "NAME": lambda workspace: workspace.display_name,
                "STATE": lambda workspace: workspace.state,
                "ENVIRONMENTS": lambda workspace: workspace.environments,
                "CREATED": lambda workspace: workspace.create_time,
            },
        )


@app.command()
@command
def update(
    session: Session,
    options: WorkspaceOptions,
    policy: PolicyOptions,
    no_policy: NoPolicyOptions,
    name: OptionalWorkspaceArgument = None,
    no_permission_catalog: Annotated[
        bool, typer.Option("--no-permission-catalog", help="Permissions are free.")
    ] = False,
    no_labels: NoLabelsOption = False,
    etag: EtagOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Change a workspace: what is given, and nothing else.

    The policy counts for keys that are created or changed later. Environments, permissions and
    labels are replaced.

    Example: keywright workspaces update --max-ttl 12w --expiry-required

    Example: keywright workspaces update acme --permission 'datasets.read=Read data sets'
    """
    changes = options.changes(
        policy, no_policy, no_permission_catalog=no_permission_catalog, no_labels=no_labels
    )
    given = changes.given()
    with session.client() as client:
        session.out.record(client.workspaces.update(name, etag=etag, wait=not no_wait, **given))


@app.command()
@command
def disable(
    session: Session,
    name: WorkspaceArgument,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Disable a workspace: none of its keys stands until it is enabled again. For operators.

    Example: keywright workspaces disable acme --yes
    """
    confirm(f"Disable the workspace {name} and all of its keys?", yes=yes)
    with session.client() as client:
        changed = client.workspaces.disable(name, wait=not no_wait)
    session.out.changed(changed, f"Disabled {changed.name}.")


@app.command()
@command
def enable(session: Session, name: WorkspaceArgument) -> None:
    """Enable a workspace again. For operators.

    Example: keywright workspaces enable acme
    """
    with session.client() as client:
        changed = client.workspaces.enable(name)
    session.out.changed(changed, f"Enabled {changed.name}.")


@app.command()
@command
def delete(
    session: Session,
    name: WorkspaceArgument,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Delete a disabled workspace with all that is in it, for good. For operators.

    The audit trail stays. The id is not given again.

    Example: keywright workspaces delete acme --yes
    """
    confirm(f"Delete the workspace {name} and everything in it, for good?", yes=yes)
    with session.client() as client:
        deleted = client.workspaces.delete(name, wait=not no_wait)
    session.out.changed(deleted, f"Deleted {deleted.name}.")
