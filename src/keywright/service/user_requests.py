"""What a caller asks of users, in the domain's words, and what is wrong with it by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from keywright.domain.directory import User, UserKind
from keywright.domain.errors import invalid_field
from keywright.domain.names import ID_RULE, RoleName, is_id
from keywright.domain.resources import is_resource
from keywright.domain.text import (
    check_display_name,
    check_email,
    check_external_id,
    check_labels,
)

FIELDS = frozenset({"email", "display_name", "role", "external_id", "labels"})
"""What `UpdateUser` can change."""


@dataclass(frozen=True, slots=True)
class UserSpec:
    """What a caller asks of a user. Empty is: the default."""

    user_id: str = ""
    kind: UserKind = UserKind.HUMAN
    role: RoleName | None = None
    email: str = ""
    display_name: str = ""
    external_id: str = ""
    resource: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserUpdate:
    """New values for a user; `fields` are the names of those that count."""

    fields: frozenset[str]
    values: UserSpec


def check_form(spec: UserSpec, changing: frozenset[str] = frozenset()) -> None:
    """What needs no database to be told wrong; `changing` are the fields of an update."""
    if spec.user_id and not is_id(spec.user_id):
        raise invalid_field("user_id", f"must be {ID_RULE}")
    if spec.email:
        check_email(spec.email, "user.email")
    check_display_name(spec.display_name, "user.display_name")
    check_external_id(spec.external_id, "user.external_id")
    check_labels(spec.labels, "user.labels")
    if not spec.resource or changing:
        return
    if not is_resource(spec.resource):
        raise invalid_field(
            "user.resource", "must be a path such as projects/abc without empty segments"
        )
    if spec.kind is not UserKind.SERVICE:
        raise invalid_field("user.resource", "is for users of the kind SERVICE only")
    if spec.role is not None:
        raise invalid_field(
            "user.role", "must be empty for a service user of a resource: grants give it authority"
        )


def described(user: User) -> dict[str, object]:
    """A user as the audit trail keeps it."""
    return {
        "kind": user.kind,
        "state": user.state,
        "role": user.role.role_id,
        "resource": user.resource,
        "email": user.email,
        "display_name": user.display_name,
        "external_id": user.external_id,
        "labels": dict(user.labels),
    }
