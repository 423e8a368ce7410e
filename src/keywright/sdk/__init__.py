"""What callers import: a client of a keywright server, its results and its errors.

from keywright.sdk import Client

with Client() as client:  # KEYWRIGHT_URI and KEYWRIGHT_API_KEY
    created = client.keys.create(user="ann@acme.example", ttl=timedelta(weeks=2))
    print(created.key.name, created.token.reveal())
"""

from typing import TYPE_CHECKING, Any

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
    Credential,
    CredentialKind,
    Key,
    KeyState,
    Principal,
    PrincipalUser,
    RateLimit,
    User,
    UserKind,
    UserState,
)

if TYPE_CHECKING:
    from keywright.sdk.client import Client

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "Client",
    "ConfigurationError",
    "CreatedKey",
    "Credential",
    "CredentialKind",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "Key",
    "KeyState",
    "KeywrightError",
    "NotFound",
    "PermissionDenied",
    "Principal",
    "PrincipalUser",
    "RateLimit",
    "ResourceExhausted",
    "Secret",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "User",
    "UserKind",
    "UserState",
]


def __getattr__(name: str) -> Any:
    """Import gRPC when a client is wanted: `keywright --help` and `except` clauses need none."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from keywright.sdk.client import Client  # noqa: PLC0415

    return Client
