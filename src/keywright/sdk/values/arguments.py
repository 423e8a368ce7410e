"""What calls take by keyword, where it is much or the same for several of them.

An update changes what it is given, and nothing else: leave out what is to stay as it is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Required, TypedDict

from keywright.sdk.values.audit_results import AuditOutcome
from keywright.sdk.values.lifetimes import TimeUnit
from keywright.sdk.values.results import (
    KeyCreation,
    KeyPolicy,
    KeyState,
    RateLimit,
    UsageInterval,
    UserKind,
    UserState,
)


class ImportedKeyAttributes(TypedDict, total=False):
    """What a key of another product becomes here.

    Attributes:
        display_name: a name for people.
        user: whose key, by id, e-mail address or full name; the caller's own if not given.
        role: narrows the key to what this role may do.
        scopes: narrow it to permissions that match one of these, `datasets.read`, `labels.*`.
        resource: binds it to this and everything below, `projects/abc`.
        environment: the workspace's first if not given.
        allowed_networks: where it may be used from, `192.0.2.0/24`.
        labels: marks for your own use.
        rate_limit: how often it may be used.
        expire_time: until when it lives; without it the policy decides.
    """

    display_name: str
    user: str | None
    role: str | None
    scopes: Collection[str]
    resource: str
    environment: str
    allowed_networks: Collection[str]
    labels: Mapping[str, str] | None
    rate_limit: RateLimit | None
    expire_time: datetime | None


class KeyAttributes(ImportedKeyAttributes, total=False):
    """What a key is made with; only one of its lifetimes, else the policy decides.

    Attributes:
        name: another word for `display_name`.
        ttl: how long it lives.
        validity: the same as a number, with
        unit: what it counts.
        never_expires: that it does not expire.
    """

    name: str
    ttl: timedelta | None
    validity: int
    unit: TimeUnit
    never_expires: bool


class TokenLookup(StrEnum):
    """How the record of an imported token is found: by its beginning, or by its digest."""

    PREFIX = "PREFIX"
    DIGEST = "DIGEST"


class HashForm(StrEnum):
    """The forms of a hash that another product stored."""

    SHA256_HEX = "SHA256_HEX"
    SHA256_BASE64 = "SHA256_BASE64"
    SHA512_HEX = "SHA512_HEX"
    SHA512_BASE64 = "SHA512_BASE64"
    PHC = "PHC"
    DJANGO = "DJANGO"


@dataclass(frozen=True, slots=True)
class ImportedTokenFormat:
    """What the tokens of another product look like.

    Attributes:
        pattern: what every one matches as a whole: characters, classes, counts, `sk_[a-z]{32}`.
        lookup: how the record of one is found.
        prefix_length: with `PREFIX`, how many characters of its beginning are its prefix.
        hash_offset: how many characters of its beginning are not part of what was hashed.
    """

    pattern: str
    lookup: TokenLookup
    prefix_length: int = 0
    hash_offset: int = 0


@dataclass(frozen=True, slots=True)
class ImportItem:
    """A key of another product.

    Attributes:
        hash: as it was stored.
        hash_form: how to read it.
        prefix: with `TokenLookup.PREFIX`, how its token begins.
        key_id: the id here, if you want to choose.
        original_create_time: when it was created there.
        key: what it becomes here.
    """

    hash: str = field(repr=False)
    hash_form: HashForm
    prefix: str = ""
    key_id: str = ""
    original_create_time: datetime | None = None
    key: ImportedKeyAttributes = field(default_factory=ImportedKeyAttributes)


class KeyChanges(TypedDict, total=False):
    """What of a key can be changed. What is empty or None is taken away from it."""

    display_name: str | None
    role: str | None
    scopes: Collection[str] | None
    resource: str | None
    allowed_networks: Collection[str] | None
    labels: Mapping[str, str] | None
    rate_limit: RateLimit | None
    expire_time: datetime | None


class KeyFilter(TypedDict, total=False):
    """Which keys are meant: those that match all of what is given.

    Attributes:
        states: in one of these.
        user: of this user, by id, e-mail address or full name.
        creator: created by this user.
        resource: bound to exactly this.
        role: narrowed to this role.
        environment: of this environment.
        labels: with all of these.
        expires_before: that expire, and before this moment.
        unused_since: not used since this moment, or never used and created before it.
        unrotated_since: not rotated since this moment.
        search: with this text in display name, prefix or the user's e-mail address.
    """

    states: Collection[KeyState]
    user: str | None
    creator: str | None
    resource: str
    role: str | None
    environment: str
    labels: Mapping[str, str] | None
    expires_before: datetime | None
    unused_since: datetime | None
    unrotated_since: datetime | None
    search: str


class UserFilter(TypedDict, total=False):
    """Which users are meant: those that match all of what is given.

    Attributes:
        states: in one of these.
        kinds: of one of these.
        role: with this role.
        external_id: with this id in another system.
        resource: service users of exactly this.
        labels: with all of these.
        search: with this text in display name or e-mail address.
    """

    states: Collection[UserState]
    kinds: Collection[UserKind]
    role: str | None
    external_id: str
    resource: str
    labels: Mapping[str, str] | None
    search: str


class AuditEventFilter(TypedDict, total=False):
    """Which audit events are meant: those that match all of what is given.

    Attributes:
        actor: done by this user, by id, e-mail address or full name.
        credential: done with this credential: a key's id, or a full name.
        resource: done to this or to something below it: `keys/ci-deploy`, `users/ann@acme.example`,
            or a full name.
        actions: one of these: `RevokeKey`.
        outcomes: with one of these.
        start_time: at or after this moment.
        end_time: before this moment.
        client_address: from this address.
        request_id: of the calls with this `request_id`.
        seal: covered by this seal, by number or full name.
    """

    actor: str | None
    credential: str | None
    resource: str | None
    actions: Collection[str]
    outcomes: Collection[AuditOutcome]
    start_time: datetime | None
    end_time: datetime | None
    client_address: str
    request_id: str
    seal: str | None


class UsageQuery(TypedDict, total=False):
    """Which usage is meant.

    Attributes:
        start_time: from the hour on that this is in (UTC).
        end_time: until the end of the hour that this is in, at most 400 days later; until now if
            not given.
        keys: of these, by id or full name; at most 100.
        user: of keys of this user, by id, e-mail address or full name.
        interval: how long the time is that each point covers; an hour if not given.
    """

    start_time: Required[datetime]
    end_time: datetime | None
    keys: Collection[str]
    user: str | None
    interval: UsageInterval


class UserChanges(TypedDict, total=False):
    """What of a user can be changed. What is empty or None is taken away."""

    email: str | None
    display_name: str | None
    role: str
    external_id: str | None
    labels: Mapping[str, str] | None


class RoleAttributes(TypedDict, total=False):
    """What a role is made with, and what of it can be changed.

    Attributes:
        display_name: a name for people.
        description: what it is for.
        permissions: patterns, `datasets.read`, `labels.*`.
        may_hold_keys: whether users with this role may hold keys.
    """

    display_name: str | None
    description: str | None
    permissions: Collection[str] | None
    may_hold_keys: bool


class KeyPolicyChanges(TypedDict, total=False):
    """What of a policy can be changed by itself. A time that is None is not limited any more."""

    max_ttl: timedelta | None
    default_ttl: timedelta | None
    expiry_required: bool
    max_keys_per_user: int
    key_creation: KeyCreation
    free_binding: bool
    rotation_reminder: timedelta | None


class WorkspaceAttributes(TypedDict, total=False):
    """What a workspace is made with, and what of it can be changed.

    Attributes:
        display_name: a name for people.
        policy: what is asked of its keys. In a change a `KeyPolicy` replaces the whole policy, a
            mapping only those parts of it that it has.
        environments: what a key may be of, the default first; `live` and `test` if not given.
        permission_catalog: the permissions of its applications, each with a description; any other
            is refused then. Without it permissions are free.
        labels: marks for the operators' own use.
    """

    display_name: str | None
    policy: KeyPolicy | KeyPolicyChanges | None
    environments: Collection[str]
    permission_catalog: Mapping[str, str] | None
    labels: Mapping[str, str] | None
