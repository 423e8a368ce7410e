"""Permissions and the patterns that stand for many of them.

A permission is a dotted string, `datasets.read`. A pattern is a permission, or `a.*` (matches `a.b`
and `a.b.c`, not `a`), or `*` (matches all). Patterns form a tree, so two of them either contain one
another or share nothing; everything below follows from that.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator

from keywright.domain.errors import Reason, invalid_field

PATTERN_MAX_LENGTH = 128
_SEGMENT = r"[A-Za-z][A-Za-z0-9_-]*"
_PERMISSION = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*")
_PATTERN = re.compile(rf"\*|{_SEGMENT}(?:\.{_SEGMENT})*(?:\.\*)?")

EVERYTHING = "*"

# The service's own permissions: a closed list (DESIGN section 3). Those of applications are free.
KEYS_OWN = "keys.own"
KEYS_ANY = "keys.any"
KEYS_BOUND = "keys.bound"
USERS_READ = "users.read"
USERS_MANAGE = "users.manage"
ROLES_READ = "roles.read"
ROLES_MANAGE = "roles.manage"
GRANTS_READ = "grants.read"
GRANTS_MANAGE = "grants.manage"
WORKSPACE_MANAGE = "workspace.manage"
AUDIT_READ = "audit.read"
USAGE_READ = "usage.read"
AUTHENTICATE = "auth.authenticate"
# These two cross workspaces: only users of the workspace `system` hold them, and `*` elsewhere
# does not contain them.
AUTHENTICATE_ANY = "auth.authenticateAny"
WORKSPACES_MANAGE = "workspaces.manage"

CROSSING = frozenset({AUTHENTICATE_ANY, WORKSPACES_MANAGE})
SERVICE_PERMISSIONS = CROSSING | {
    KEYS_OWN,
    KEYS_ANY,
    KEYS_BOUND,
    USERS_READ,
    USERS_MANAGE,
    ROLES_READ,
    ROLES_MANAGE,
    GRANTS_READ,
    GRANTS_MANAGE,
    WORKSPACE_MANAGE,
    AUDIT_READ,
    USAGE_READ,
    AUTHENTICATE,
}


def is_permission(text: str) -> bool:
    """Whether `text` is one permission (not a pattern)."""
    return len(text) <= PATTERN_MAX_LENGTH and _PERMISSION.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether `text` is a permission or a pattern of permissions."""
    return len(text) <= PATTERN_MAX_LENGTH and _PATTERN.fullmatch(text) is not None


def covers(pattern: str, other: str) -> bool:
    """Whether all that `other` (a permission or a pattern) stands for is in `pattern`."""
    if pattern in (EVERYTHING, other):
        return True
    return pattern.endswith(".*") and other.startswith(pattern[:-1])


def check_known(patterns: Iterable[str], catalog: Collection[str] | None, field: str) -> None:
    """Each pattern stands for some permission that there is, where a workspace keeps a catalogue.

    Else a typing error would make a useless key, and nobody would be told.

    Raises:
        InvalidFields: PERMISSION_UNKNOWN, naming the first that stands for none.
    """
    if catalog is None:
        return
    known = SERVICE_PERMISSIONS.union(catalog)
    standing = known.union(*map(_wider, known))
    for index, pattern in enumerate(patterns):
        if pattern not in standing:
            raise invalid_field(
                f"{field}[{index}]",
                f"{pattern} is not in the workspace's permission catalogue",
                reason=Reason.PERMISSION_UNKNOWN,
                details={"permission": pattern},
            )


def _wider(pattern: str) -> Iterator[str]:
    """All patterns that contain `pattern`, besides itself: `*` and `a.*` for `a.b`.

    There are as many as it has words, so that a set is searched by looking these up, however large.
    """
    if pattern != EVERYTHING:
        yield EVERYTHING
    words = pattern.removesuffix(".*").split(".")
    for count in range(1, len(words)):
        yield ".".join(words[:count]) + ".*"


class PermissionSet:
    """An immutable set of patterns, kept free of those that another one contains."""

    __slots__ = ("patterns",)

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        distinct = frozenset(patterns)
        self.patterns: frozenset[str] = frozenset(
            each for each in distinct if not any(wider in distinct for wider in _wider(each))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PermissionSet) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"PermissionSet({sorted(self.patterns)})"

    def __or__(self, other: "PermissionSet") -> "PermissionSet":
        return PermissionSet(self.patterns | other.patterns)

    def __and__(self, other: "PermissionSet") -> "PermissionSet":
        """What both allow. Of two patterns that meet, the narrower is all they share."""
        return PermissionSet(
            itertools.chain(
                filter(other.allows, self.patterns), filter(self.allows, other.patterns)
            )
        )

    def allows(self, permission: str) -> bool:
        """Whether `permission`, or all of the pattern `permission`, is in this set."""
        return permission in self.patterns or any(
            wider in self.patterns for wider in _wider(permission)
        )

    def lacking(self, patterns: Iterable[str]) -> list[str]:
        """Those of `patterns` that this set does not contain, sorted."""
        return sorted(pattern for pattern in set(patterns) if not self.allows(pattern))
