"""From messages to Python's own types."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.sdk import (
    AccessExplanation,
    AccessRule,
    AccessStep,
    AccessVerdict,
    AuditBreak,
    AuditBreakKind,
    AuditEvent,
    AuditEventFilter,
    AuditOutcome,
    AuditSeal,
    CredentialKind,
    Denial,
    FieldChange,
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
from keywright.sdk.values.reading import read
from keywright.v1 import (
    audit_event_pb2,
    audit_service_pb2,
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
        (AuditEvent, audit_event_pb2.AuditEvent),
        (AuditSeal, audit_event_pb2.AuditSeal),
        (FieldChange, audit_event_pb2.FieldChange),
        (AuditBreak, audit_service_pb2.AuditBreak),
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
        (AuditEventFilter, audit_event_pb2.AuditEventFilter),
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
        (AccessRule, auth_service_pb2.AccessRule, "ACCESS_RULE_"),
        (AccessVerdict, auth_service_pb2.AccessVerdict, "ACCESS_VERDICT_"),
        (KeyState, key_pb2.KeyState, "KEY_STATE_"),
        (UserKind, user_pb2.UserKind, "USER_KIND_"),
        (UserState, user_pb2.UserState, "USER_STATE_"),
        (CredentialKind, principal_pb2.CredentialKind, "CREDENTIAL_KIND_"),
        (WorkspaceState, workspace_pb2.WorkspaceState, "WORKSPACE_STATE_"),
        (KeyCreation, workspace_pb2.KeyCreation, "KEY_CREATION_"),
        (AuditOutcome, audit_event_pb2.AuditOutcome, "AUDIT_OUTCOME_"),
        (AuditBreakKind, audit_service_pb2.AuditBreakKind, "AUDIT_BREAK_KIND_"),
    ):
        assert {"UNSPECIFIED", *kind} - {"UNKNOWN"} == {
            each.removeprefix(prefix) for each in enum.DESCRIPTOR.values_by_name
        }


def test_results_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read(Key, key_pb2.Key()).name = "other"  # type: ignore[misc]


def test_an_explanation_is_read_down_to_its_steps() -> None:
    reply = auth_service_pb2.ExplainAccessResponse(
        denial=denial_pb2.Denial(
            reason=error_reason_pb2.ERROR_REASON_PERMISSION_MISSING, missing_permissions=["a.b"]
        ),
        steps=[
            auth_service_pb2.AccessStep(
                rule=auth_service_pb2.ACCESS_RULE_USER_ROLE,
                verdict=auth_service_pb2.ACCESS_VERDICT_ALLOWS,
                values=["a.*"],
            ),
            auth_service_pb2.AccessStep(
                rule=auth_service_pb2.ACCESS_RULE_KEY_SCOPES,
                verdict=auth_service_pb2.ACCESS_VERDICT_DENIES,
                reason=error_reason_pb2.ERROR_REASON_PERMISSION_MISSING,
            ),
            auth_service_pb2.AccessStep(rule=99, verdict=99, reason=999),  # type: ignore[arg-type]
        ],
    )
    why = read(AccessExplanation, reply)
    assert why.denial == Denial("PERMISSION_MISSING", "", ("a.b",), {})
    role, scopes, newer = why.steps
    assert (role.rule, role.verdict, role.values, role.reason) == (
        *(AccessRule.USER_ROLE, AccessVerdict.ALLOWS, ("a.*",), ""),
    )
    assert scopes.reason == "PERMISSION_MISSING"
    assert (newer.rule, newer.verdict, newer.reason) == ("UNKNOWN", "UNKNOWN", "UNKNOWN")
    assert why.deciding is scopes


def test_what_decides_is_what_denies_else_what_gives_the_permission() -> None:
    def explanation(*steps: tuple[AccessRule, AccessVerdict]) -> AccessExplanation:
        allowed = all(verdict is not AccessVerdict.DENIES for _, verdict in steps)
        told = tuple(AccessStep(rule, verdict, "", (), "", "") for rule, verdict in steps)
        return AccessExplanation(allowed, None, told, "")

    state = (AccessRule.USER_STATE, AccessVerdict.ALLOWS)
    role = (AccessRule.USER_ROLE, AccessVerdict.NEUTRAL)
    grant = (AccessRule.GRANT, AccessVerdict.ALLOWS)
    scopes = (AccessRule.KEY_SCOPES, AccessVerdict.DENIES)
    given = explanation(state, role, grant)
    assert given.deciding is given.steps[2]
    denied = explanation(state, role, grant, scopes)
    assert denied.deciding is denied.steps[3]
    assert explanation(state).deciding is None


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
