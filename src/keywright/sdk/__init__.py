"""What callers import: a client of a keywright server, its results and its errors.

from keywright.sdk import Client

with Client() as client:  # KEYWRIGHT_URI and KEYWRIGHT_API_KEY
    created = client.keys.create(user="ann@acme.example", ttl=timedelta(weeks=2))
    print(created.key.name, created.token.reveal())
"""

from typing import TYPE_CHECKING, Any

from keywright.sdk.access import (
    AccessExplanation,
    AccessRule,
    AccessStep,
    AccessVerdict,
    Denial,
)
from keywright.sdk.arguments import (
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
from keywright.sdk.audit_results import (
    AuditBreak,
    AuditBreakKind,
    AuditEvent,
    AuditOutcome,
    AuditSeal,
    FieldChange,
    TrailVerification,
)
from keywright.sdk.credentials import Secret
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
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from keywright.sdk.results import (
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

if TYPE_CHECKING:
    from keywright.sdk.client import Client

__all__ = [
    "Aborted",
    "AccessExplanation",
    "AccessRule",
    "AccessStep",
    "AccessVerdict",
    "AlreadyExists",
    "AuditBreak",
    "AuditBreakKind",
    "AuditEvent",
    "AuditEventFilter",
    "AuditOutcome",
    "AuditSeal",
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
    "NotFound",
    "PermissionDenied",
    "Principal",
    "PrincipalUser",
    "RateLimit",
    "ResourceExhausted",
    "Role",
    "RoleAttributes",
    "RotatedKey",
    "Secret",
    "TokenLookup",
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
]


def __getattr__(name: str) -> Any:
    """Import gRPC when a client is wanted: `keywright --help` and `except` clauses need none."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keywright.sdk.client import Client  # noqa: PLC0415

    return Client
