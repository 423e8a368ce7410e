"""The headers that tell an application who asks: always all of them, empty where there is nothing.

An application reads them without asking anybody. So each is set by overwriting on every request
that is let through, public ones included, and none can be forged (promise G13).

A header is ASCII text (RFC 9110 section 5.5). Whatever is not printable ASCII in a value, and `%`
itself, is percent-encoded as UTF-8; so is a comma within a permission. `urllib.parse.unquote`
gives it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import quote

from keywright.sdk.values.results import Principal

VALUE_MAX_LENGTH = 8_192
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_PLAIN_WITHOUT_COMMA = _PLAIN.replace(",", "")


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """Their names, in lower case."""

    user: str = "x-keywright-user"
    email: str = "x-keywright-email"
    workspace: str = "x-keywright-workspace"
    role: str = "x-keywright-role"
    permissions: str = "x-keywright-permissions"
    credential: str = "x-keywright-credential"

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def of_nobody(self) -> tuple[tuple[str, str], ...]:
        """All of them, empty."""
        return tuple((name, "") for name in self.names)

    def of(self, principal: Principal) -> tuple[tuple[str, str], ...]:
        """All of them, for whoever was proven.

        Raises:
            IdentityTooLarge: one would be longer than servers take.
        """
        # Of a narrowed key its user's role would be read as more authority than it has.
        role = principal.role if principal.whole_authority else ""
        values: Mapping[str, str] = {
            self.user: quote(principal.user.name, _PLAIN),
            self.email: quote(principal.user.email, _PLAIN),
            self.workspace: quote(principal.workspace, _PLAIN),
            self.role: quote(role, _PLAIN),
            self.permissions: ",".join(_quoted(principal.permissions)),
            self.credential: quote(principal.credential.name, _PLAIN),
        }
        for name, value in values.items():
            if len(value) > VALUE_MAX_LENGTH:
                raise IdentityTooLarge(f"{name} would be longer than {VALUE_MAX_LENGTH} bytes")
        return tuple(values.items())


class IdentityTooLarge(Exception):
    """What is to be told of a principal is more than a header can carry."""


def _quoted(permissions: Sequence[str]) -> list[str]:
    return [quote(each, _PLAIN_WITHOUT_COMMA) for each in permissions]
