"""What a workspace asks of its keys, and what it may ask: lifetimes, environments, permissions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from keywright.domain.directory import KeyPolicy
from keywright.domain.errors import Reason, invalid_field
from keywright.domain.permissions import is_permission
from keywright.domain.token import is_environment

MIN_LIFETIME = timedelta(minutes=1)
MAX_LIFETIME_WHERE_EXPIRY_IS_REQUIRED = timedelta(weeks=25)
# Well before the last moment that a datetime can be, which databases read as infinity.
EXPIRE_BEFORE = datetime(9999, 1, 1, tzinfo=UTC)
ENVIRONMENTS_MAX_COUNT = 16
CATALOG_MAX_COUNT = 1000
CATALOG_MAX_LENGTH = 2**17  # so that a workspace fits any reply
MIN_ROTATION_REMINDER = timedelta(days=1)
_UNITS = (
    (timedelta(weeks=1), "week"),
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)
# PostgreSQL's intervals reach further; a policy beyond a person's life asks nothing.
_MAX_DURATION = timedelta(days=36_500)


def check_policy(policy: KeyPolicy, field: str) -> None:
    """The parts of a policy are possible, and fit one another.

    Raises:
        InvalidFields: names the part and what would be right.
    """
    _check_duration(policy.max_ttl, MIN_LIFETIME, f"{field}.max_ttl")
    _check_duration(policy.default_ttl, MIN_LIFETIME, f"{field}.default_ttl")
    _check_duration(policy.rotation_reminder, MIN_ROTATION_REMINDER, f"{field}.rotation_reminder")
    most = maximum(policy)
    if most is not None and policy.default_ttl is not None and policy.default_ttl > most:
        raise invalid_field(f"{field}.default_ttl", f"must be at most the maximum, {spelled(most)}")


def maximum(policy: KeyPolicy) -> timedelta | None:
    """The longest that a key may live; None is for ever."""
    if policy.max_ttl is None and policy.expiry_required:
        return MAX_LIFETIME_WHERE_EXPIRY_IS_REQUIRED
    return policy.max_ttl


def expiry(
    policy: KeyPolicy,
    now: datetime,
    *,
    ttl: timedelta | None,
    expire_time: datetime | None,
    never: bool,
) -> datetime | None:
    """When a key that is given a lifetime at `now` expires; None is never.

    At most one of the three is asked for.

    Raises:
        InvalidFields: more than one is given, or the lifetime breaks the policy; names the bound.
    """
    if (ttl is not None) + (expire_time is not None) + never > 1:
        raise invalid_field("ttl", "give one of ttl, key.expire_time and never_expires")
    lifetime = expire_time - now if expire_time is not None else ttl
    if lifetime is None and not never:
        lifetime = policy.default_ttl
    given = "key.expire_time" if expire_time is not None else "never_expires" if never else "ttl"
    check_lifetime(policy, now, lifetime, given)
    return None if lifetime is None else now + lifetime


def check_lifetime(
    policy: KeyPolicy, now: datetime, lifetime: timedelta | None, field: str
) -> None:
    """A key may live for this long from `now` on; None is for ever.

    Raises:
        InvalidFields: names the bound.
    """
    most = maximum(policy)
    if lifetime is None:
        if policy.expiry_required:
            raise invalid_field(
                field,
                "the workspace requires keys to expire: give a lifetime"
                + ("" if most is None else f" of at most {spelled(most)}"),
                reason=Reason.POLICY_EXPIRY_REQUIRED,
            )
        return
    if lifetime < MIN_LIFETIME:
        raise invalid_field(
            field,
            "a lifetime must be at least 1 minute from now",
            reason=Reason.POLICY_LIFETIME_TOO_SHORT,
        )
    if most is not None and lifetime > most:
        raise invalid_field(
            field,
            f"a lifetime in this workspace is at most {spelled(most)}",
            reason=Reason.POLICY_LIFETIME_TOO_LONG,
        )
    if lifetime >= EXPIRE_BEFORE - now:
        raise invalid_field(
            field,
            "a key must expire before the year 9999; leave it out for a key that never does",
            reason=Reason.POLICY_LIFETIME_TOO_LONG,
        )


def spelled(duration: timedelta) -> str:
    """A duration as people say it: `25 weeks`, `90 days`, `1 minute`."""
    for unit, name in _UNITS:
        count, rest = divmod(duration, unit)
        if not rest:
            return f"{count} {name}" + ("" if count == 1 else "s")
    return f"{duration.total_seconds()} seconds"


def check_environments(environments: Sequence[str], field: str) -> None:
    """The environments can be a workspace's.

    Raises:
        InvalidFields: there is none, there are too many, one is twice there, or can be none.
    """
    if not 1 <= len(environments) <= ENVIRONMENTS_MAX_COUNT:
        raise invalid_field(field, f"must be 1 to {ENVIRONMENTS_MAX_COUNT} environments")
    if len(set(environments)) < len(environments):
        raise invalid_field(field, "must not name an environment twice")
    for index, environment in enumerate(environments):
        if not is_environment(environment):
            raise invalid_field(
                f"{field}[{index}]",
                "must be 1 to 16 characters of a-z and 0-9 that begin with a letter",
            )


def check_catalog(entries: Sequence[tuple[str, str]], field: str) -> Mapping[str, str]:
    """The catalogue that consists of these pairs of a permission and what it permits.

    Raises:
        InvalidFields: too many, a pattern, or a permission that is there twice.
    """
    if len(entries) > CATALOG_MAX_COUNT:
        raise invalid_field(f"{field}.entries", f"must be at most {CATALOG_MAX_COUNT}")
    if sum(len(each) for entry in entries for each in entry) > CATALOG_MAX_LENGTH:
        raise invalid_field(f"{field}.entries", f"must be at most {CATALOG_MAX_LENGTH} characters")
    catalog: dict[str, str] = {}
    for index, (permission, description) in enumerate(entries):
        path = f"{field}.entries[{index}].permission"
        if not is_permission(permission):
            raise invalid_field(path, "must be a permission such as datasets.read, not a pattern")
        if permission in catalog:
            raise invalid_field(path, f"{permission} is there twice")
        catalog[permission] = description
    return catalog


def _check_duration(value: timedelta | None, least: timedelta, field: str) -> None:
    if value is not None and not least <= value <= _MAX_DURATION:
        raise invalid_field(field, f"must be at least {spelled(least)} and at most 100 years")
