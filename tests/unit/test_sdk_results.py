"""From messages to Python's own types."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk import (
    CredentialKind,
    Grant,
    ImportFailure,
    ImportResult,
    Key,
    KeyCreation,
    KeyFilter,
    KeyPolicy,
    KeyPolicyChanges,
    KeyState,
    Principal,
    RateLimit,
    Role,
    User,
    UserFilter,
    UserKind,
    UserState,
    Workspace,
    WorkspaceState,
)
from keywright.sdk.reading import read
from keywright.v1 import (
    auth_service_pb2,
    denial_pb2,
    error_reason_pb2,
    grant_pb2,
    key_pb2,
    key_service_pb2,
    principal_pb2,
    rate_limit_pb2,
    role_pb2,
    user_pb2,
    workspace_pb2,
)


def test_a_key_is_read_with_times_in_utc_tuples_and_enums() -> None:
    key = read(
        Key,
        key_pb2.Key(
            name="workspaces/w/keys/k",
            scopes=["a.*", "b"],
            labels={"team": "data"},
            state=key_pb2.KEY_STATE_REVOKED,
            rate_limit=rate_limit_pb2.RateLimit(requests=5, period=Duration(seconds=90)),
            create_time=Timestamp(seconds=1_700_000_000, nanos=5_000),
        ),
    )
    assert key.id == "k"
    assert key.scopes == ("a.*", "b")
    assert key.labels == {"team": "data"}
    assert key.state is KeyState.REVOKED
    assert key.rate_limit == RateLimit(5, timedelta(seconds=90))
    assert key.create_time == datetime(2023, 11, 14, 22, 13, 20, 5, tzinfo=UTC)
    assert key.expire_time is None


def test_absent_messages_are_none() -> None:
    key = read(Key, key_pb2.Key())
    assert (key.rate_limit, key.last_used_time) == (None, None)


def test_a_user_and_a_principal_are_read_down_to_their_parts() -> None:
    user = read(
        User, user_pb2.User(kind=user_pb2.USER_KIND_SERVICE, state=user_pb2.USER_STATE_DISABLED)
    )
    assert (user.kind, user.state) == (UserKind.SERVICE, UserState.DISABLED)
    principal = read(
        Principal,
        auth_service_pb2.AuthenticateResponse(
            user=principal_pb2.PrincipalUser(name="workspaces/w/users/u", email="u@w.example"),
            credential=principal_pb2.Credential(kind=principal_pb2.CREDENTIAL_KIND_SSH_KEY),
            permissions=["*"],
        ),
    )
    assert (principal.user.id, principal.user.email) == ("u", "u@w.example")
    assert principal.credential.kind is CredentialKind.SSH_KEY
    assert principal.permissions == ("*",)


def test_a_workspace_is_read_with_its_policy_and_its_catalogue_or_none() -> None:
    entry = workspace_pb2.PermissionEntry(permission="datasets.read", description="Read")
    workspace = read(
        Workspace,
        workspace_pb2.Workspace(
            state=workspace_pb2.WORKSPACE_STATE_ACTIVE,
            policy=workspace_pb2.KeyPolicy(
                max_ttl=Duration(seconds=3600), key_creation=workspace_pb2.KEY_CREATION_ADMINS
            ),
            environments=["live", "test"],
            permission_catalog=workspace_pb2.PermissionCatalog(entries=[entry]),
        ),
    )
    assert workspace.state is WorkspaceState.ACTIVE
    assert workspace.policy == KeyPolicy(
        max_ttl=timedelta(hours=1), key_creation=KeyCreation.ADMINS
    )
    assert workspace.environments == ("live", "test")
    assert workspace.permission_catalog == {"datasets.read": "Read"}
    free = read(Workspace, workspace_pb2.Workspace())
    assert free.permission_catalog is None
    assert free.policy == KeyPolicy()  # which asks for nothing


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Key, key_pb2.Key),
        (User, user_pb2.User),
        (Role, role_pb2.Role),
        (Grant, grant_pb2.Grant),
        (Workspace, workspace_pb2.Workspace),
        (KeyPolicy, workspace_pb2.KeyPolicy),
    ],
)
def test_a_result_has_every_field_of_the_contract(kind: Any, message: Any) -> None:
    assert {each.name for each in fields(kind)} == set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (KeyFilter, key_pb2.KeyFilter),
        (UserFilter, user_pb2.UserFilter),
        (KeyPolicyChanges, workspace_pb2.KeyPolicy),
    ],
)
def test_a_call_takes_every_field_of_the_contract(arguments: Any, message: Any) -> None:
    assert set(arguments.__annotations__) == set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("number", [0, 99])
def test_a_value_newer_than_this_client_is_unknown_and_not_an_error(number: int) -> None:
    message = key_pb2.Key.FromString(b"\x90\x01" + bytes([number]))  # field 18, state
    assert read(Key, message).state is KeyState.UNKNOWN


def test_python_and_the_contract_know_the_same_values() -> None:
    for kind, enum, prefix in (
        (KeyState, key_pb2.KeyState, "KEY_STATE_"),
        (UserKind, user_pb2.UserKind, "USER_KIND_"),
        (UserState, user_pb2.UserState, "USER_STATE_"),
        (CredentialKind, principal_pb2.CredentialKind, "CREDENTIAL_KIND_"),
        (WorkspaceState, workspace_pb2.WorkspaceState, "WORKSPACE_STATE_"),
        (KeyCreation, workspace_pb2.KeyCreation, "KEY_CREATION_"),
    ):
        assert {"UNSPECIFIED", *kind} - {"UNKNOWN"} == {
            each.removeprefix(prefix) for each in enum.DESCRIPTOR.values_by_name
        }


def test_results_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read(Key, key_pb2.Key()).name = "other"  # type: ignore[misc]


def test_an_imported_key_is_read_as_a_key_or_as_why_there_is_none() -> None:
    imported = key_service_pb2.ImportResult(key=key_pb2.Key(name="workspaces/w/keys/k"))
    result = read(ImportResult, imported)
    assert result.key is not None
    assert (result.key.id, result.error) == ("k", None)

    def failed(reason: int) -> ImportResult:
        denial = denial_pb2.Denial(
            reason=reason,  # type: ignore[arg-type]
            message="taken",
            metadata={"resource": "r"},
        )
        return read(ImportResult, key_service_pb2.ImportResult(error=denial))

    exists = ImportFailure("RESOURCE_ALREADY_EXISTS", "taken", {"resource": "r"})
    known = failed(error_reason_pb2.ERROR_REASON_RESOURCE_ALREADY_EXISTS)
    assert known == ImportResult(None, exists)
    newer = failed(9_999)
    assert newer.error is not None
    assert newer.error.reason == "UNKNOWN"
