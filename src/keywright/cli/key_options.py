"""Options of several commands about keys, and what they make for the SDK."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, cast

import typer

from keywright.cli import values
from keywright.cli.options import (
    BindingOption,
    DisplayNameOption,
    KeyRoleOption,
    LabelOption,
    NetworkOption,
    RateLimitOption,
    ScopeOption,
)
from keywright.sdk import KeyAttributes, KeyFilter, KeyState

_MOMENT = "2026-12-31T00:00:00Z or how long ago: 30d, 12w."


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a key lives."""

    ttl: Annotated[
        str | None, typer.Option(metavar="TTL", help="How long it lives: 30s, 15m, 12h, 7d, 2w.")
    ] = None
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when: 2026-12-31T00:00:00Z.")
    ] = None
    never_expires: Annotated[bool, typer.Option("--never-expires", help="For ever.")] = False

    def read(self) -> tuple[timedelta | None, datetime | None]:
        """`--ttl` and `--expires`, of which there is at most one, and neither with the third."""
        values.only_one(
            {"--ttl": self.ttl, "--expires": self.expires, "--never-expires": self.never_expires}
        )
        return values.duration(self.ttl, "--ttl"), values.moment(self.expires, "--expires")

    def end(self, now: datetime) -> datetime | None:
        """The moment at which it ends, if one is given; `--ttl` is counted from `now`."""
        ttl, expire_time = self.read()
        return expire_time if ttl is None else values.ahead(self.ttl, now, "--ttl")


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """What a key is made with, but for its lifetime."""

    display_name: DisplayNameOption = None
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Whose: an id or an e-mail address. Else your own."),
    ] = None
    role: KeyRoleOption = None
    scope: ScopeOption = None
    resource: BindingOption = None
    environment: Annotated[
        str | None, typer.Option(metavar="ID", help="live or test, for example.")
    ] = None
    allowed_network: NetworkOption = None
    label: LabelOption = None
    rate_limit: RateLimitOption = None

    def attributes(self, lifetime: Lifetime) -> KeyAttributes:
        """What the SDK takes."""
        ttl, expire_time = lifetime.read()
        return KeyAttributes(
            display_name=self.display_name or "",
            user=self.user,
            role=self.role,
            scopes=self.scope or (),
            resource=values.not_empty(self.resource, "--resource") or "",
            environment=values.not_empty(self.environment, "--environment") or "",
            allowed_networks=self.allowed_network or (),
            labels=values.labels(self.label),
            rate_limit=values.rate_limit(self.rate_limit),
            ttl=ttl,
            expire_time=expire_time,
            never_expires=lifetime.never_expires,
        )


@dataclass(frozen=True, slots=True)
class KeyFilterOptions:
    """Which keys are meant: those that match all that is given."""

    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="active, disabled, expired or revoked; repeatable.",
            autocompletion=lambda: values.choices(KeyState),
        ),
    ] = None
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Of this user: an id or an e-mail address.")
    ] = None
    creator: Annotated[str | None, typer.Option(metavar="USER", help="Created by this user.")] = (
        None
    )
    role: Annotated[str | None, typer.Option(metavar="ROLE", help="Narrowed to this role.")] = None
    resource: Annotated[str | None, typer.Option(metavar="PATH", help="Bound to exactly this.")] = (
        None
    )
    environment: Annotated[str | None, typer.Option(metavar="ID", help="Of this environment.")] = (
        None
    )
    label: LabelOption = None
    expires_before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Expiring before this: 2026-12-31T00:00:00Z or in how long: 30d, 12w.",
        ),
    ] = None
    unused_since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Not used since: {_MOMENT}")
    ] = None
    unrotated_since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Not rotated since: {_MOMENT}")
    ] = None
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="With this in name, prefix or e-mail address."),
    ] = None

    def matching(self, now: datetime) -> KeyFilter:
        """What the SDK takes, with what is given and nothing else; ages are counted from `now`."""
        given = {
            "states": [values.choice(KeyState, each, "--state") for each in self.state or ()],
            "user": self.user,
            "creator": self.creator,
            "role": self.role,
            "resource": values.not_empty(self.resource, "--resource"),
            "environment": values.not_empty(self.environment, "--environment"),
            "labels": values.labels(self.label),
            "expires_before": values.ahead(self.expires_before, now, "--expires-before"),
            "unused_since": values.ago(self.unused_since, now, "--unused-since"),
            "unrotated_since": values.ago(self.unrotated_since, now, "--unrotated-since"),
            "search": values.not_empty(self.search, "--search"),
        }
        matching = {name: value for name, value in given.items() if value not in (None, [], {})}
        return cast("KeyFilter", matching)
