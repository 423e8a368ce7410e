"""What callers import: a client of a keywright server, its results and its errors.

from keywright.sdk import Client

with Client() as client:  # KEYWRIGHT_URI and KEYWRIGHT_API_KEY
    created = client.keys.create(user="ann@acme.example", ttl=timedelta(weeks=2))
    print(created.key.name, created.token.reveal())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keywright.sdk.connection.credentials import Secret
from keywright.sdk.drop_ins.current import current_principal
from keywright.sdk.drop_ins.requirements import PUBLIC, Requires
from keywright.sdk.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    KeywrightError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TokenLost,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from keywright.sdk.values.access import (
    AccessExplanation,
    AccessRule,
    AccessStep,
    AccessVerdict,
    Denial,
)
from keywright.sdk.values.arguments import (
    AuditEventFilter,
    HashForm,
    ImportedKeyAttributes,
    ImportedTokenFormat,
    ImportItem,
    KeyAttributes,
    KeyChanges,
    KeyFilter,
    KeyPolicyChanges,
    RoleAttributes,
    TokenLookup,
    UsageQuery,
    UserChanges,
    UserFilter,
    WorkspaceAttributes,
)
from keywright.sdk.values.audit_results import (
    AuditBreak,
    AuditBreakKind,
    AuditEvent,
    AuditOutcome,
    AuditSeal,
    FieldChange,
    TrailVerification,
)
from keywright.sdk.values.lifetimes import TimeUnit
from keywright.sdk.values.results import (
    CreatedKey,
    CreatedWorkspace,
    Credential,
    CredentialKind,
    EnsuredKey,
    Grant,
    ImportFailure,
    ImportResult,
    Key,
    KeyCreation,
    KeyPolicy,
    KeyState,
    Principal,
    PrincipalUser,
    RateLimit,
    Role,
    RotatedKey,
    UsageInterval,
    UsagePoint,
    User,
    UserKind,
    UserState,
    Workspace,
    WorkspaceState,
)
from keywright.sdk.values.session_results import (
    Session,
    SessionState,
    SignedIn,
    SignInLink,
    SignInMethod,
)

if TYPE_CHECKING:
    from keywright.sdk.authenticating.authenticator import Authenticator
    from keywright.sdk.authenticating.blocking_authenticator import BlockingAuthenticator
    from keywright.sdk.client import AsyncClient, Client
    from keywright.sdk.drop_ins.asgi import KeywrightMiddleware
    from keywright.sdk.drop_ins.grpc_interceptors import (
        AuthenticatorInterceptor,
        BlockingAuthenticatorInterceptor,
    )

__all__ = [
    "PUBLIC",
    "Aborted",
    "AccessExplanation",
    "AccessRule",
    "AccessStep",
    "AccessVerdict",
    "AlreadyExists",
    "AsyncClient",
    "AuditBreak",
    "AuditBreakKind",
    "AuditEvent",
    "AuditEventFilter",
    "AuditOutcome",
    "AuditSeal",
    "Authenticator",
    "AuthenticatorInterceptor",
    "BlockingAuthenticator",
    "BlockingAuthenticatorInterceptor",
    "Cancelled",
    "Client",
    "ConfigurationError",
    "CreatedKey",
    "CreatedWorkspace",
    "Credential",
    "CredentialKind",
    "DeadlineExceeded",
    "Denial",
    "EnsuredKey",
    "FailedPrecondition",
    "FieldChange",
    "FieldViolation",
    "Grant",
    "HashForm",
    "ImportFailure",
    "ImportItem",
    "ImportResult",
    "ImportedKeyAttributes",
    "ImportedTokenFormat",
    "Internal",
    "InvalidArgument",
    "Key",
    "KeyAttributes",
    "KeyChanges",
    "KeyCreation",
    "KeyFilter",
    "KeyPolicy",
    "KeyPolicyChanges",
    "KeyState",
    "KeywrightError",
    "KeywrightMiddleware",
    "NotFound",
    "PermissionDenied",
    "Principal",
    "PrincipalUser",
    "RateLimit",
    "Requires",
    "ResourceExhausted",
    "Role",
    "RoleAttributes",
    "RotatedKey",
    "Secret",
    "Session",
    "SessionState",
    "SignInLink",
    "SignInMethod",
    "SignedIn",
    "TimeUnit",
    "TokenLookup",
    "TokenLost",
    "TrailVerification",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UsageInterval",
    "UsagePoint",
    "UsageQuery",
    "User",
    "UserChanges",
    "UserFilter",
    "UserKind",
    "UserState",
    "Workspace",
    "WorkspaceAttributes",
    "WorkspaceState",
    "current_principal",
]


_LATER = {
    "AsyncClient": "client",
    "Authenticator": "authenticating.authenticator",
    "AuthenticatorInterceptor": "drop_ins.grpc_interceptors",
    "BlockingAuthenticator": "authenticating.blocking_authenticator",
    "BlockingAuthenticatorInterceptor": "drop_ins.grpc_interceptors",
    "Client": "client",
    "KeywrightMiddleware": "drop_ins.asgi",
}


def __getattr__(name: str) -> Any:
    """Import gRPC when a client is wanted: `keywright --help` and `except` clauses need none."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
