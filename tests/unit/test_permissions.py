"""Permissions and patterns, by example; test_authority.py has the laws."""

import pytest

from keywright.domain.permissions import (
    CROSSING,
    PATTERN_MAX_LENGTH,
    PermissionSet,
    covers,
    is_pattern,
    is_permission,
)


@pytest.mark.parametrize("text", ["keys", "keys.own", "a.b.c.d", "auth.authenticateAny", "x-1.y_2"])
def test_a_dotted_word_is_a_permission_and_a_pattern(text: str) -> None:
    assert is_permission(text)
    assert is_pattern(text)


@pytest.mark.parametrize("text", ["*", "keys.*", "a.b.*"])
def test_a_pattern_is_no_permission(text: str) -> None:
    assert is_pattern(text)
    assert not is_permission(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".keys",
        "keys.",
        "keys..own",
        "*.read",
        "keys.*.own",
        "keys*",
        "ke*ys",
        "**",
        "1keys",
        "keys own",
        "keys.own\n",
        "keys,own",
        "kéys",
        "keys\x00",
        "k" * (PATTERN_MAX_LENGTH + 1),
    ],
)
def test_anything_else_is_neither(text: str) -> None:
    assert not is_permission(text)
    assert not is_pattern(text)


def test_a_star_matches_everything_below_and_not_the_word_itself() -> None:
    assert covers("a.*", "a.b")
    assert covers("a.*", "a.b.c")
    assert covers("a.*", "a.b.*")
    assert not covers("a.*", "a")
    assert not covers("a.*", "ab")
    assert not covers("a.*", "ab.c")
    assert not covers("a.b", "a.*")
    assert not covers("a.*", "*")


def test_the_lone_star_matches_all() -> None:
    assert all(covers("*", other) for other in ("*", "a", "a.b", "a.*"))


def test_a_set_keeps_only_its_widest_patterns() -> None:
    assert PermissionSet(["a.b", "a.*", "a.b.c", "a"]) == PermissionSet(["a", "a.*"])
    assert PermissionSet(["*", "a.b"]) == PermissionSet(["*"])


def test_what_two_sets_share_is_the_narrower_of_the_patterns_that_meet() -> None:
    scopes = PermissionSet(["datasets.*", "labels.read"])
    role = PermissionSet(["datasets.read", "labels.*", "keys.own"])

    assert scopes & role == PermissionSet(["datasets.read", "labels.read"])
    assert PermissionSet(["a"]) & PermissionSet(["b"]) == PermissionSet()


def test_what_is_lacking_is_named_in_order() -> None:
    mine = PermissionSet(["datasets.*"])

    assert mine.lacking(["labels.read", "datasets.read", "keys.own"]) == ["keys.own", "labels.read"]
    assert mine.lacking(["datasets.*"]) == []
    assert PermissionSet(["datasets.read", "datasets.write"]).lacking(["datasets.*"]) == [
        "datasets.*"
    ]


def test_two_permissions_cross_workspaces() -> None:
    assert {"auth.authenticateAny", "workspaces.manage"} == CROSSING
