"""keywright: API keys as a service.

from keywright import Client

with Client() as client:
    print(client.whoami().user.email)

Results, errors and the rest of what goes with the clients are in `keywright.sdk`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keywright.sdk import (
        AsyncClient,
        Authenticator,
        AuthenticatorInterceptor,
        BlockingAuthenticator,
        BlockingAuthenticatorInterceptor,
        Client,
        KeywrightMiddleware,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Authenticator",
    "AuthenticatorInterceptor",
    "BlockingAuthenticator",
    "BlockingAuthenticatorInterceptor",
    "Client",
    "KeywrightMiddleware",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the SDK when it is wanted: the server is in this package as well."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("keywright.sdk"), name)
