"""Options and arguments that several commands take, each with the same words."""

from typing import Annotated

import typer

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="An id, or a full name.", show_default=False)
]
UserArgument = Annotated[
    str,
    typer.Argument(
        metavar="USER", help="An id, an e-mail address, or a full name.", show_default=False
    ),
]
RoleArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help="An id, or a full name.", show_default=False)
]
GrantArgument = Annotated[
    str, typer.Argument(metavar="GRANT", help="An id, or a full name.", show_default=False)
]
WorkspaceArgument = Annotated[
    str, typer.Argument(metavar="WORKSPACE", help="An id, or a full name.", show_default=False)
]
OptionalWorkspaceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="WORKSPACE", help="An id, or a full name. Else your own.", show_default=False
    ),
]

AskedResourceOption = Annotated[
    str,
    typer.Option(metavar="PATH", help="What it is to act on: projects/abc.", show_default=False),
]
RequiredEnvironmentOption = Annotated[
    str, typer.Option(metavar="ID", help="What it must be a key of.", show_default=False)
]
ClientAddressOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where it is presented from.", show_default=False)
]

YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask. Nothing is asked without a terminal.")
]
EtagOption = Annotated[
    str, typer.Option(metavar="ETAG", help="Only if this is still its etag.", show_default=False)
]
NoWaitOption = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="Return when it is done, and not when it counts on every replica."
    ),
]
DisplayNameOption = Annotated[str | None, typer.Option(metavar="TEXT", help="A name for people.")]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PERMISSION", help="Narrow it to permissions like datasets.read; repeatable."
    ),
]
KeyRoleOption = Annotated[
    str | None, typer.Option(metavar="ROLE", help="Narrow the key to what this role may do.")
]
BindingOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="Bind it to this and all below: projects/abc.")
]
NetworkOption = Annotated[
    list[str] | None, typer.Option(metavar="CIDR", help="Where it may be used from; repeatable.")
]
RateLimitOption = Annotated[
    str | None, typer.Option(metavar="RATE", help="How often it may be used: 100/1m.")
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="A label; may be repeated."),
]
ForeignIdOption = Annotated[
    str | None, typer.Option(metavar="ID", help="The id in another system.")
]
NoLabelsOption = Annotated[bool, typer.Option("--no-labels", help="Take all labels away.")]
