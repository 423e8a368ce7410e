"""Options about workspaces, and what they make for the SDK."""

from dataclasses import dataclass
from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.changes import Changes
from keywright.cli.options import DisplayNameOption, LabelOption
from keywright.sdk import KeyCreation


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What a workspace asks of its keys."""

    max_ttl: Annotated[
        str | None, typer.Option(metavar="TTL", help="The longest that a key may live: 12w.")
    ] = None
    default_ttl: Annotated[
        str | None,
        typer.Option(metavar="TTL", help="How long a key lives whose creation does not say."),
    ] = None
    expiry_required: Annotated[
        bool | None,
        typer.Option("--expiry-required/--no-expiry-required", help="Whether every key expires."),
    ] = None
    max_keys_per_user: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=values.INT32_MAX, help="0: as many as they like."),
    ] = None
    key_creation: Annotated[
        str | None,
        typer.Option(
            metavar="WHO",
            help="Who may create keys of their own: everyone or admins.",
            autocompletion=lambda: values.choices(KeyCreation),
        ),
    ] = None
    free_binding: Annotated[
        bool | None,
        typer.Option(
            "--free-binding/--no-free-binding",
            help="Whether everyone may bind their keys to resources.",
        ),
    ] = None
    rotation_reminder: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="After how long people are reminded to rotate: 25w."),
    ] = None


@dataclass(frozen=True, slots=True)
class NoPolicyOptions:
    """What a workspace is not to ask of its keys any more."""

    no_max_ttl: Annotated[bool, typer.Option("--no-max-ttl", help="Keys live any time.")] = False
    no_default_ttl: Annotated[
        bool, typer.Option("--no-default-ttl", help="A creation that does not say means for ever.")
    ] = False
    no_rotation_reminder: Annotated[
        bool, typer.Option("--no-rotation-reminder", help="Nobody is reminded.")
    ] = False


@dataclass(frozen=True, slots=True)
class WorkspaceOptions:
    """What a workspace is made with, and what of it can be changed."""

    display_name: DisplayNameOption = None
    environment: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="What keys may be of, the default first; repeatable."),
    ] = None
    permission: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERMISSION=TEXT",
            help="The catalogue: 'datasets.read=Read data sets'; repeatable. Any other is refused.",
        ),
    ] = None
    label: LabelOption = None

    def changes(
        self,
        policy: PolicyOptions,
        no_policy: NoPolicyOptions,
        *,
        no_permission_catalog: bool = False,
        no_labels: bool = False,
    ) -> Changes:
        """What of it is given."""
        changes = Changes()
        changes.put("display_name", self.display_name)
        changes.put("policy", _policy(policy, no_policy).any())
        changes.put("environments", self.environment)
        changes.either(
            "permission_catalog",
            ("--permission", values.descriptions(self.permission)),
            ("--no-permission-catalog", no_permission_catalog),
        )
        changes.either("labels", ("--label", values.labels(self.label)), ("--no-labels", no_labels))
        return changes


def _policy(given: PolicyOptions, no: NoPolicyOptions) -> Changes:
    changes = Changes()
    for name, text, none in (
        ("max-ttl", given.max_ttl, no.no_max_ttl),
        ("default-ttl", given.default_ttl, no.no_default_ttl),
        ("rotation-reminder", given.rotation_reminder, no.no_rotation_reminder),
    ):
        length = values.duration(text, f"--{name}")
        changes.either(name.replace("-", "_"), (f"--{name}", length), (f"--no-{name}", none))
    changes.put("expiry_required", given.expiry_required)
    changes.put("max_keys_per_user", given.max_keys_per_user)
    if given.key_creation is not None:
        who = values.choice(KeyCreation, given.key_creation, "--key-creation")
        changes.put("key_creation", who)
    changes.put("free_binding", given.free_binding)
    return changes
