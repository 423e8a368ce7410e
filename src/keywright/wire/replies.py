"""Resources as replies show them."""

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keywright.domain.decision import Principal
from keywright.domain.directory import (
    NO_POLICY,
    GrantRecord,
    KeyPolicy,
    RoleRecord,
    User,
    Workspace,
)
from keywright.domain.keys import (
    KeyAt,
    RateLimit,
)
from keywright.domain.roles import WITHOUT_ROLE, Role
from keywright.domain.secret import Secret
from keywright.domain.sessions import SessionAt
from keywright.service.call import etag_of
from keywright.v1 import (
    grant_pb2,
    key_pb2,
    principal_pb2,
    rate_limit_pb2,
    role_pb2,
    session_pb2,
    user_pb2,
    workspace_pb2,
)


def timestamp(value: datetime | None) -> Timestamp | None:
    """A time, for a reply."""
    if value is None:
        return None
    message = Timestamp()
    message.FromDatetime(value)
    return message


def duration(value: timedelta | None) -> Duration | None:
    """A duration, for a reply."""
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message


def key(found: KeyAt) -> key_pb2.Key:
    """A key's record."""
    record = found.key
    parent = f"workspaces/{record.workspace_id}"
    return key_pb2.Key(
        name=str(record.name),
        display_name=record.display_name,
        user=f"{parent}/users/{record.owner.user_id}",
        user_email=record.owner.email,
        creator=f"{parent}/users/{record.creator.user_id}",
        creator_email=record.creator.email,
        creator_credential=record.creator_credential,
        role=_role(parent, record.narrowing.role),
        scopes=record.narrowing.scopes,
        resource=record.narrowing.resource,
        environment=record.environment,
        labels=record.labels,
        allowed_networks=map(str, record.narrowing.allowed_networks),
        rate_limit=rate_limit(record.rate_limit),
        prefix=record.prefix,
        retiring_prefix=record.retiring_prefix,
        retire_time=timestamp(record.retire_time),
        state=key_pb2.KeyState.Value(f"KEY_STATE_{found.state}"),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        expire_time=timestamp(record.expire_time),
        rotate_time=timestamp(record.rotate_time),
        revoke_time=timestamp(record.revoke_time),
        last_used_time=timestamp(record.last_used_time),
        last_used_address=record.last_used_address,
        etag=etag_of(record),
    )


def token(shown: Secret[str] | None) -> str:
    """A token, in the one reply that shows it; empty if there is none."""
    return "" if shown is None else shown.reveal()


def rate_limit(limit: RateLimit | None) -> rate_limit_pb2.RateLimit | None:
    """A key's rate limit, for a reply."""
    if limit is None:
        return None
    return rate_limit_pb2.RateLimit(requests=limit.requests, period=duration(limit.period))


def session(found: SessionAt) -> session_pb2.Session:
    """A session's record."""
    record = found.session
    return session_pb2.Session(
        name=str(record.name),
        user=f"workspaces/{record.workspace_id}/users/{record.user.user_id}",
        user_email=record.user.email,
        method=session_pb2.SignInMethod.Value(f"SIGN_IN_METHOD_{record.method}"),
        state=session_pb2.SessionState.Value(f"SESSION_STATE_{found.state}"),
        create_time=timestamp(record.create_time),
        expire_time=timestamp(record.expire_time),
        idle_expire_time=timestamp(record.idle_expire_time),
        revoke_time=timestamp(record.revoke_time),
        last_used_time=timestamp(record.last_used_time),
        client_address=record.client_address,
        user_agent=record.user_agent,
        key="" if record.opening_key is None else str(record.opening_key.name),
    )


def user(found: User) -> user_pb2.User:
    """A user."""
    return user_pb2.User(
        name=str(found.name),
        email=found.email or "",
        display_name=found.display_name,
        kind=user_pb2.UserKind.Value(f"USER_KIND_{found.kind}"),
        role=role_of(found),
        state=user_pb2.UserState.Value(f"USER_STATE_{found.state}"),
        external_id=found.external_id,
        resource=found.resource,
        labels=found.labels,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def role(found: RoleRecord) -> role_pb2.Role:
    """A role."""
    return role_pb2.Role(
        name=str(found.name),
        display_name=found.display_name,
        description=found.description,
        permissions=sorted(found.role.permissions.patterns),
        may_hold_keys=found.role.may_hold_keys,
        built_in=found.role.built_in,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def grant(found: GrantRecord) -> grant_pb2.Grant:
    """A grant."""
    return grant_pb2.Grant(
        name=str(found.name),
        user=str(found.user.name),
        user_email=found.user.email or "",
        resource=found.resource,
        role=_role(f"workspaces/{found.workspace_id}", found.role),
        creator=found.creator,
        create_time=timestamp(found.create_time),
    )


def workspace(found: Workspace) -> workspace_pb2.Workspace:
    """A workspace. A policy that asks nothing is left out."""
    catalog = found.permission_catalog
    return workspace_pb2.Workspace(
        name=str(found.name),
        display_name=found.display_name,
        state=workspace_pb2.WorkspaceState.Value(f"WORKSPACE_STATE_{found.state}"),
        policy=None if found.key_policy == NO_POLICY else policy(found.key_policy),
        environments=found.environments,
        permission_catalog=None
        if catalog is None
        else workspace_pb2.PermissionCatalog(
            entries=[
                workspace_pb2.PermissionEntry(permission=each, description=catalog[each])
                for each in sorted(catalog)
            ]
        ),
        labels=found.labels,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        etag=etag_of(found),
    )


def policy(found: KeyPolicy) -> workspace_pb2.KeyPolicy:
    """What a workspace asks of its keys."""
    return workspace_pb2.KeyPolicy(
        max_ttl=duration(found.max_ttl),
        default_ttl=duration(found.default_ttl),
        expiry_required=found.expiry_required,
        max_keys_per_user=found.max_keys_per_user or 0,
        key_creation=workspace_pb2.KeyCreation.Value(f"KEY_CREATION_{found.key_creation}"),
        free_binding=found.free_binding,
        rotation_reminder=duration(found.rotation_reminder),
    )


def principal_user(principal: Principal) -> principal_pb2.PrincipalUser:
    """Whose authority it is."""
    found = principal.user
    return principal_pb2.PrincipalUser(
        name=str(found.name),
        email=found.email or "",
        display_name=found.display_name,
        kind=user_pb2.UserKind.Value(f"USER_KIND_{found.kind}"),
        external_id=found.external_id,
        labels=found.labels,
    )


def credential(principal: Principal) -> principal_pb2.Credential:
    """What was presented."""
    record = principal.credential.record
    return principal_pb2.Credential(
        name=str(record.name),
        display_name=record.display_name,
        labels=record.labels,
        kind=principal_pb2.CredentialKind.Value(
            f"CREDENTIAL_KIND_{principal.credential.kind.name}"
        ),
    )


def role_of(found: User) -> str:
    """The name of a user's role; empty for a service user of a resource."""
    return _role(f"workspaces/{found.workspace_id}", found.role)


def _role(parent: str, of: Role | None) -> str:
    return "" if of in (None, WITHOUT_ROLE) else f"{parent}/roles/{of.role_id}"
