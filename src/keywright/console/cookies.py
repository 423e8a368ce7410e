"""The cookies of the console: the session's token, and what a browser has before it signs in."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from keywright.sdk import Secret


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that scripts cannot read.

    Over HTTPS it has the prefix `__Host-` (RFC 6265bis): no other host, not even a subdomain, can
    have set it. Browsers refuse that over plain HTTP, which the console speaks on loopback only.

    Attributes:
        same_site: `lax` where it has to come along as another site leads the browser here.
        max_age: in seconds; None: as long as the browser runs.
    """

    name: str
    same_site: str = "strict"
    max_age: int | None = None

    def full_name(self, *, is_secure: bool) -> str:
        """The name as the browser has it."""
        return f"__Host-{self.name}" if is_secure else self.name

    def read(self, request: Request, *, is_secure: bool) -> Secret | None:
        """What it holds; None if there is none."""
        value = request.cookies.get(self.full_name(is_secure=is_secure), "")
        return Secret(value) if value else None

    def write(self, response: Response, value: Secret, *, is_secure: bool) -> None:
        """Set it."""
        self._set(response, value.reveal(), self.max_age, is_secure=is_secure)

    def drop(self, response: Response, *, is_secure: bool) -> None:
        """Have the browser forget it."""
        self._set(response, "", 0, is_secure=is_secure)

    def _set(self, response: Response, value: str, max_age: int | None, *, is_secure: bool) -> None:
        parts = [f"{self.full_name(is_secure=is_secure)}={value}", "Path=/", "HttpOnly"]
        parts.append(f"SameSite={self.same_site.capitalize()}")
        if is_secure:
            parts.append("Secure")
        if max_age is not None:
            parts.append(f"Max-Age={max_age}")
        response.headers.append("set-cookie", "; ".join(parts))


SESSION = Cookie("keywright")
BEFORE_SIGN_IN = Cookie("keywright-visit")
"""Random; the forms of who is not signed in are bound to it."""
SIGNING_IN = Cookie("keywright-signing-in", same_site="lax", max_age=600)
"""What a sign-in with OpenID Connect was begun with."""
