"""What a client is told that is denied: of its token or not, `WWW-Authenticate`, `Retry-After`."""

import re
from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from keywright.sdk.errors import (
    KeywrightError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)

# quoted-string of RFC 9110 section 5.6.4, without what would have to be escaped in it.
_UNQUOTABLE = re.compile(r"[^ !#-\[\]-~]")


def is_about_token(error: Exception) -> bool:
    """Whether it is the presented token that is denied, and not something of ours that fails."""
    if not isinstance(error, KeywrightError) or error.about_caller:
        return False
    limited = isinstance(error, ResourceExhausted) and error.reason == "RATE_LIMITED"
    return limited or isinstance(error, Unauthenticated | PermissionDenied)


def bearer(realm: str, *, error: str = "", description: str = "", scope: Sequence[str] = ()) -> str:
    """A challenge (RFC 6750 section 3); without an `error` where nothing was presented."""
    told = {"realm": realm}
    if error:
        told |= {"error": error, "error_description": description}
    if scope:
        told["scope"] = " ".join(scope)
    quoted = (f'{name}="{_UNQUOTABLE.sub(chr(39), text)}"' for name, text in told.items())
    return f"Bearer {', '.join(quoted)}"


def retry_after(delay: timedelta | None) -> str:
    """Whole seconds (RFC 9110 section 10.2.3), one at least."""
    return str(max(1, ceil(delay.total_seconds()))) if delay else "1"
