"""Credentials and principals made by hand, for what is decided without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from keywright.domain.authority import Authority
from keywright.domain.decision import Asked, Credential, Principal, decide
from keywright.domain.directory import Grant, State, User, UserKind
from keywright.domain.keys import Key, KeyState, Narrowing, Person
from keywright.domain.permissions import PermissionSet
from keywright.domain.roles import BUILT_IN, Role
from keywright.service.known import Known, pack, terms

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROLES = {role.role_id: role for role in BUILT_IN}


def role(*patterns: str, may_hold_keys: bool = True) -> Role:
    """A role of the workspace's own."""
    return Role("own", PermissionSet(patterns), may_hold_keys)


def user(
    user_id: str = "ann",
    of: Role = ROLES["member"],
    *,
    state: State = State.ACTIVE,
    workspace: str = "default",
    resource: str = "",
) -> User:
    """A user; those of the same id are the same."""
    return User(
        workspace_id=workspace,
        user_id=user_id,
        kind=UserKind.HUMAN,
        state=state,
        role=of,
        email=f"{user_id}@example.com",
        display_name="",
        external_id="",
        resource=resource,
        internal_id=int.from_bytes(user_id.encode()),
    )


def credential(
    owner: User | None = None,
    *,
    narrowing: Narrowing | None = None,
    grants: Sequence[Grant] = (),
    workspace_state: State = State.ACTIVE,
    secret_not_after: datetime | None = None,
    **of_key: Any,
) -> Credential:
    """A key of `owner` as a look-up finds it; `of_key` are attributes of `Key`."""
    owner, narrowing = owner or user(), narrowing or Narrowing()
    person = Person(owner.user_id, owner.email or "")
    given = {
        "environment": "live",
        "stored_state": KeyState.ACTIVE,
        "expire_time": None,
        **of_key,
    }
    key = Key(
        workspace_id=owner.workspace_id,
        key_id="k1",
        owner=person,
        creator=person,
        creator_credential="",
        display_name="",
        narrowing=narrowing,
        prefix="0" * 12,
        create_time=NOW,
        update_time=NOW,
        rotate_time=NOW,
        owner_internal_id=owner.internal_id,
        **given,
    )
    return Credential(
        record=key,
        user=owner,
        workspace_state=workspace_state,
        authority=Authority(owner.workspace_id, owner.role, tuple(grants), narrowing),
        secret_not_after=secret_not_after,
    )


def principal(of: Credential) -> Principal:
    """Who calls with that key, in management."""
    return decide(of, Asked(), NOW)


def known(found: Credential, plain: bytes | None = None) -> Known:
    """What a server remembers of it; `plain` is the permissions part of its reply."""
    own_or_shared, terms_bytes = terms(found.authority, found.record.environment, b"", plain)
    return Known(
        packed=pack(
            bytes(16), bytes(8), None, found.rests_on, str(found.record.name).rpartition("/")[2]
        ),
        as_of=0,
        end=float("inf"),
        denied=None,
        head=b"",
        terms=own_or_shared,
        terms_bytes=terms_bytes,
    )
