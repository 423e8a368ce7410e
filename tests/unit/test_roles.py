"""The built-in roles, as the documentation promises them."""

import itertools

import pytest

from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import BUILT_IN, Role

ROLES = {role.role_id: role for role in BUILT_IN}


def patterns(*texts: str) -> PermissionSet:
    return PermissionSet(texts)


@pytest.mark.parametrize(
    ("role_id", "permissions", "may_hold_keys"),
    [
        ("guest", patterns(), False),
        ("labeler", patterns("keys.own", "labels.*"), True),
        (
            "collaborator",
            patterns("keys.own", "labels.*", "projects.read", "datasets.read"),
            True,
        ),
        (
            "member",
            patterns(
                "keys.own", "labels.*", "projects.*", "datasets.*", "users.read", "roles.read"
            ),
            True,
        ),
        ("admin", patterns("*"), True),
        ("authenticator", patterns("auth.authenticate"), True),
        ("viewer", patterns("projects.read", "datasets.read", "labels.read"), False),
        (
            "editor",
            patterns(
                *(f"{what}.{how}" for what in ("projects", "datasets", "labels")
                  for how in ("read", "write"))
            ),
            False,
        ),
        ("manager", patterns("projects.*", "datasets.*", "labels.*", "keys.bound"), False),
    ],
)  # fmt: skip
def test_a_built_in_role_is_as_documented(
    role_id: str,
    permissions: PermissionSet,
    may_hold_keys: bool,  # noqa: FBT001
) -> None:
    role = ROLES[role_id]

    assert role.permissions == permissions
    assert role.may_hold_keys is may_hold_keys
    assert role.built_in


def test_there_are_no_others() -> None:
    assert len(ROLES) == len(BUILT_IN) == 9


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        *itertools.pairwise(["guest", "labeler", "collaborator", "member", "admin"]),
        *itertools.pairwise(["viewer", "editor", "manager"]),
    ],
)
def test_each_role_contains_the_one_below_it(lower: str, higher: str) -> None:
    below: Role = ROLES[lower]

    assert ROLES[higher].permissions.lacking(below.permissions.patterns) == []
