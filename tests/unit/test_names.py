"""Resource names: what is one, and that an error names the field."""

from collections.abc import Callable
from typing import Any

import pytest

from keywright.domain.errors import InvalidFields
from keywright.domain.names import (
    KeyName,
    RoleName,
    UserName,
    WorkspaceName,
    is_email,
    is_id,
)


@pytest.mark.parametrize("text", ["a", "0", "a-b", "x" * 63, "9lives"])
def test_lower_case_letters_digits_and_inner_hyphens_make_an_id(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "x" * 64, "a\n", "a\x00", "é", "a/b", "٣"]
)
def test_anything_else_is_no_id(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("text", ["a@b", "ann.o'hara+x@sub.b.example", "ünï@b.example"])
def test_an_address_has_one_at_sign_between_two_parts(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "@b", "a@", "a@b@c", "a b@c", "a/b@c", "a@b\n", "a\x00@b"),
        f"{'a' * 65}@b.example",
        f"a@{'b' * 190}",
    ],
)
def test_what_has_no_shape_of_an_address_is_refused(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (WorkspaceName.parse, "workspaces/default"),
        (UserName.parse, "workspaces/default/users/ann"),
        (UserName.parse, "workspaces/default/users/Ann@b.example"),
        (KeyName.parse, "workspaces/default/keys/k-1"),
        (RoleName.parse, "workspaces/default/roles/admin"),
    ],
)
def test_a_name_reads_back_as_it_was_written(parse: Callable[..., Any], text: str) -> None:
    assert str(parse(text, "name")) == text


@pytest.mark.parametrize("parse", [WorkspaceName.parse, UserName.parse, KeyName.parse])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "workspaces",
        "workspaces/",
        "/workspaces/a",
        "workspaces/a/",
        "workspaces/a/keys",
        "workspaces/a/keys/",
        "workspaces/a/keys/b/c",
        "workspaces//keys/b",
        "workspaces/A/keys/b",
        "workspaces/a/roles/b",
        "projects/a",
        "workspaces/a/keys/b\x00",
        "workspaces/a@b.example/keys/c",
        "x" * 10_000,
    ],
)
def test_what_is_no_name_is_refused_naming_the_field(parse: Callable[..., Any], text: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        parse(text, "key.user")
    assert [violation.field for violation in refused.value.violations] == ["key.user"]


def test_only_a_user_may_be_named_by_an_address() -> None:
    with pytest.raises(InvalidFields):
        KeyName.parse("workspaces/default/keys/a@b.example", "name")


def test_a_role_is_named_without_regard_to_case() -> None:
    assert RoleName.parse("workspaces/default/roles/Admin", "role") == RoleName("default", "admin")
