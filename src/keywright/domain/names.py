"""Resource names (AIP-122): `workspaces/{w}`, `.../users/{u}`, `.../keys/{k}`, ...

Ids are chosen by the client at creation or given by us. Wherever a user's name is taken, the user's
e-mail may stand in place of its id (`workspaces/w/users/a@b.example`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from keywright.domain.errors import invalid_field

ID_PATTERN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ID = re.compile(ID_PATTERN)
ID_RULE = "1 to 63 lower-case letters, digits and hyphens, not beginning or ending with a hyphen"

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")

EMAIL_MAX_LENGTH = 254
_EMAIL = re.compile(r"[^@\s/]{1,64}@[^@\s/]{1,189}")


def is_id(text: str) -> bool:
    """Whether `text` can be the last part of a resource's name."""
    return _ID.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Whether `text` has the shape of an e-mail address; whether it works is not our concern."""
    return (
        len(text) <= EMAIL_MAX_LENGTH and text.isprintable() and _EMAIL.fullmatch(text) is not None
    )


def is_id_or_email(text: str) -> bool:
    """Whether `text` can name a user."""
    return is_id(text) or is_email(text)


def _parse(
    text: str,
    field: str,
    collections: tuple[str, ...],
    accepts: Callable[[str], bool] = is_id,
) -> tuple[str, ...]:
    """The ids in a name, in order; the last one judged by `accepts`.

    Raises:
        InvalidFields: `text` is not a name of this kind.
    """
    parts = text.split("/")
    ids = tuple(parts[1::2])
    well_formed = (
        tuple(parts[0::2]) == collections
        and len(ids) == len(collections)
        and all(map(is_id, ids[:-1]))
        and accepts(ids[-1])
    )
    if not well_formed:
        shape = "/".join(f"{each}/{{{each.removesuffix('s')}}}" for each in collections)
        raise invalid_field(field, f"must have the form {shape}; ids are {ID_RULE}")
    return ids


@dataclass(frozen=True, slots=True)
class WorkspaceName:
    """`workspaces/{workspace}`."""

    workspace: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces",)))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}"


@dataclass(frozen=True, slots=True)
class UserName:
    """`workspaces/{workspace}/users/{user}`; `user` is an id or an e-mail."""

    workspace: str
    user: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces", "users"), is_id_or_email))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/users/{self.user}"


@dataclass(frozen=True, slots=True)
class KeyName:
    """`workspaces/{workspace}/keys/{key}`."""

    workspace: str
    key: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces", "keys")))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/keys/{self.key}"


@dataclass(frozen=True, slots=True)
class SessionName:
    """`workspaces/{workspace}/sessions/{session}`."""

    workspace: str
    session: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces", "sessions")))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/sessions/{self.session}"


@dataclass(frozen=True, slots=True)
class RoleName:
    """`workspaces/{workspace}/roles/{role}`; built-in roles are named in every workspace."""

    workspace: str
    role: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; role ids are case-insensitive on input."""
        return cls(
            *_parse(text.lower() if text.isascii() else text, field, ("workspaces", "roles"))
        )

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/roles/{self.role}"


@dataclass(frozen=True, slots=True)
class GrantName:
    """`workspaces/{workspace}/grants/{grant}`."""

    workspace: str
    grant: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces", "grants")))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/grants/{self.grant}"


@dataclass(frozen=True, slots=True)
class AuditEventName:
    """`workspaces/{workspace}/auditEvents/{audit_event}`; ids are numbers."""

    workspace: str
    event: str

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        return cls(*_parse(text, field, ("workspaces", "auditEvents")))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/auditEvents/{self.event}"


@dataclass(frozen=True, slots=True)
class AuditSealName:
    """`workspaces/{workspace}/auditSeals/{audit_seal}`; `number` counts from 1."""

    workspace: str
    number: int

    @classmethod
    def parse(cls, text: str, field: str) -> Self:
        """Read a name; `field` is what an error names."""
        workspace, number = _parse(text, field, ("workspaces", "auditSeals"), is_number)
        return cls(workspace, int(number))

    def __str__(self) -> str:
        return f"workspaces/{self.workspace}/auditSeals/{self.number}"


def is_number(text: str) -> bool:
    """Whether `text` is a number that the database gives: from 1, as it is written, 18 digits."""
    return _NUMBER.fullmatch(text) is not None
