"""`keywright keys ...`: what becomes of a key after its creation."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.asking import confirm, presented_token, someone_to_ask
from keywright.cli.changes import Changes
from keywright.cli.command import Session, command
from keywright.cli.key_options import KeyFilterOptions, Lifetime
from keywright.cli.options import (
    BindingOption,
    DisplayNameOption,
    EtagOption,
    KeyArgument,
    KeyRoleOption,
    LabelOption,
    NetworkOption,
    NoLabelsOption,
    NoWaitOption,
    RateLimitOption,
    ScopeOption,
    YesOption,
)
from keywright.cli.output import shown
from keywright.sdk import KeyFilter

app = typer.Typer()


@app.command()
@command
def update(
    session: Session,
    key: KeyArgument,
    lifetime: Lifetime,
    display_name: DisplayNameOption = None,
    role: KeyRoleOption = None,
    no_role: Annotated[bool, typer.Option("--no-role", help="No role narrows it.")] = False,
    scope: ScopeOption = None,
    no_scopes: Annotated[bool, typer.Option("--no-scopes", help="No scopes narrow it.")] = False,
    resource: BindingOption = None,
    no_resource: Annotated[bool, typer.Option("--no-resource", help="Nothing binds it.")] = False,
    allowed_network: NetworkOption = None,
    no_allowed_networks: Annotated[
        bool, typer.Option("--no-allowed-networks", help="From everywhere.")
    ] = False,
    label: LabelOption = None,
    no_labels: NoLabelsOption = False,
    rate_limit: RateLimitOption = None,
    no_rate_limit: Annotated[bool, typer.Option("--no-rate-limit", help="No limit.")] = False,
    etag: EtagOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Change a key: what is given, and nothing else. Scopes, networks and labels are replaced.

    Example: keywright keys update ci-deploy --scope datasets.read --scope labels.read

    Example: keywright keys update ci-deploy --ttl 12w --no-role
    """
    changes = Changes()
    changes.put("display_name", display_name)
    changes.either("role", ("--role", role), ("--no-role", no_role))
    changes.either("scopes", ("--scope", scope), ("--no-scopes", no_scopes))
    changes.either("resource", ("--resource", resource), ("--no-resource", no_resource))
    changes.either(
        "allowed_networks",
        ("--allowed-network", allowed_network),
        ("--no-allowed-networks", no_allowed_networks),
    )
    changes.either("labels", ("--label", values.labels(label)), ("--no-labels", no_labels))
    changes.either(
        "rate_limit",
        ("--rate-limit", values.rate_limit(rate_limit)),
        ("--no-rate-limit", no_rate_limit),
    )
    changes.put("expire_time", lifetime.end(datetime.now(UTC)))
    if lifetime.never_expires:
        changes.clear("expire_time")
    given = changes.given()
    with session.client() as client:
        session.out.record(client.keys.update(key, etag=etag, wait=not no_wait, **given))


@app.command()
@command
def rotate(
    session: Session,
    key: KeyArgument,
    grace: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="For how long the old token stands beside the new one: 24h, at most 7d. Else it "
            "dies at once.",
        ),
    ] = None,
    etag: EtagOption = "",
    no_wait: NoWaitOption = False,
) -> None:
    """Give a key a new token. It goes to stdout, alone, and is shown this once.

    Example: KEY=$(keywright keys rotate ci-deploy --grace 24h)
    """
    overlap = values.duration(grace, "--grace")
    with session.client() as client:
        session.out.token(client.keys.rotate(key, grace=overlap, etag=etag, wait=not no_wait))


@app.command()
@command
def disable(session: Session, key: KeyArgument, no_wait: NoWaitOption = False) -> None:
    """Disable a key: it does not stand until it is enabled again.

    Example: keywright keys disable ci-deploy
    """
    with session.client() as client:
        changed = client.keys.disable(key, wait=not no_wait)
    session.out.changed(changed, f"Disabled {changed.name}.")


@app.command()
@command
def enable(session: Session, key: KeyArgument) -> None:
    """Enable a key again. It takes all that the key may do.

    Example: keywright keys enable ci-deploy
    """
    with session.client() as client:
        changed = client.keys.enable(key)
    session.out.changed(changed, f"Enabled {changed.name}.")


@app.command()
@command
def revoke(
    session: Session, key: KeyArgument, yes: YesOption = False, no_wait: NoWaitOption = False
) -> None:
    """Revoke a key, for good. When this returns, it is dead everywhere.

    Example: keywright keys revoke ci-deploy --yes
    """
    confirm(f"Revoke {key} for good?", yes=yes)
    with session.client() as client:
        revoked = client.keys.revoke(key, wait=not no_wait)
    session.out.changed(revoked, f"Revoked {revoked.name}.")


@app.command()
@command
def revoke_many(
    session: Session,
    options: KeyFilterOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count them, and revoke none.")
    ] = False,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
) -> None:
    """Revoke every key that matches, for good, in any state unless --state says which.

    When this returns, they are dead everywhere. At least one filter is needed.

    Example: keywright keys revoke-many --user ann@acme.example

    Example: keywright keys revoke-many --unused-since 12w --dry-run
    """
    matching = options.matching(datetime.now(UTC))
    if not matching:
        raise typer.BadParameter("say which keys: give --user, --unused-since or another filter")
    with session.client() as client:
        if dry_run:
            count = client.keys.revoke_many(validate_only=True, **matching)
            session.out.answer({"count": count}, f"Would revoke {_keys(count)}.")
            return
        if someone_to_ask(yes=yes):
            count = client.keys.revoke_many(validate_only=True, **matching)
            if count == 0:
                session.out.changed({"count": 0}, "No keys match.")
                return
            confirm(f"Revoke {_keys(count)} for good ({_said(matching)})?", yes=yes)
        count = client.keys.revoke_many(wait=not no_wait, **matching)
    session.out.changed({"count": count}, f"Revoked {_keys(count)}.")


@app.command()
@command
def delete(
    session: Session, key: KeyArgument, yes: YesOption = False, no_wait: NoWaitOption = False
) -> None:
    """Delete a key's record, and with it the key. The audit trail keeps what there was.

    Example: keywright keys delete ci-deploy --yes
    """
    confirm(f"Delete {key} and its record?", yes=yes)
    with session.client() as client:
        deleted = client.keys.delete(key, wait=not no_wait)
    session.out.changed(deleted, f"Deleted {deleted.name}.")


@app.command(context_settings={"allow_extra_args": True})
@command
def report_leak(
    session: Session,
    source: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Where it was found, for the owner: a URL, for example.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """End a token that was found where it should not be: its key is revoked.

    Anybody may, without a key. Nobody is told whether there was such a token, but the owner, by the
    audit trail. The token is read from stdin, or asked for on a terminal.

    Example: keywright keys report-leak --source https://git.example/acme/app < found.txt
    """
    token = presented_token(session.ctx)
    with session.client(anonymous=True) as client:
        client.keys.report_leaked(token, source=source)
    session.out.changed({}, "Reported.")


def _said(matching: KeyFilter) -> str:
    return "; ".join(
        f"{name.replace('_', ' ')}: {shown(value)}" for name, value in matching.items()
    )


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"
