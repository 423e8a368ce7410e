"""From what people type to resource names: ids, e-mail addresses and full names are all taken."""

from collections.abc import Mapping
from typing import Any

from keywright.sdk.calls.authentication import authenticate
from keywright.sdk.connection.argument_types import other
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import Flow, Mode, Surface, Transport

_WORKSPACES = "workspaces/"
_COLLECTIONS = {
    "user": "users",
    "creator": "users",
    "actor": "users",
    "role": "roles",
    "seal": "auditSeals",
}


class Names:
    """Names in one workspace: the one given, else the caller's own, which is asked for once."""

    def __init__(self, api_key: Secret, workspace: str | None) -> None:
        if not isinstance(workspace, str | None):
            raise other("workspace", "a str", workspace)
        self._api_key = api_key
        self._workspace = workspace and _workspace_name(workspace)

    def workspace(self, text: str | None = None) -> Flow[str]:
        """A workspace's name, from it or an id; without either, that of this one."""
        if text is not None:
            return _workspace_name(text)
        if self._workspace is None:
            principal = yield from authenticate(self._api_key.reveal())
            self._workspace = principal.workspace
        return self._workspace

    def user(self, text: str) -> Flow[str]:
        """A user's name, from it, an id or an e-mail address."""
        return self._within("users", text)

    def key(self, text: str) -> Flow[str]:
        """A key's name, from it or an id."""
        return self._within("keys", text)

    def role(self, text: str) -> Flow[str]:
        """A role's name, from it or an id."""
        return self._within("roles", text)

    def grant(self, text: str) -> Flow[str]:
        """A grant's name, from it or an id."""
        return self._within("grants", text)

    def session(self, text: str) -> Flow[str]:
        """A session's name, from it or an id."""
        return self._within("sessions", text)

    def audit_event(self, text: str) -> Flow[str]:
        """An audit event's name, from it or an id."""
        return self._within("auditEvents", text)

    def audit_seal(self, text: str) -> Flow[str]:
        """An audit seal's name, from it or its number."""
        return self._within("auditSeals", text)

    def credential(self, text: str) -> Flow[str]:
        """A credential's name, from it or what follows the workspace in it; an id is a key's."""
        return self.resource(text) if "/" in text else self.key(text)

    def resource(self, text: str) -> Flow[str]:
        """The name of anything in the workspace, from it or what follows the workspace in it."""
        if text.startswith(_WORKSPACES):
            return text
        return f"{yield from self.workspace()}/{text}"

    def full(self, given: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """What was given, with the full names of the users and roles in it."""
        full = dict(given)
        for name, collection in _COLLECTIONS.items():
            if full.get(name) is not None:
                full[name] = yield from self._within(collection, full[name])
        return full

    def _within(self, collection: str, text: Any) -> Flow[str]:
        if not isinstance(text, str):
            wanted = collection.removesuffix("s")
            raise other(f"a {wanted}'s name", "a str", text)
        if text.startswith(_WORKSPACES):
            return text
        workspace = yield from self.workspace()
        return f"{workspace}/{collection}/{text}"


class NamedSurface(Surface[Mode]):
    """Something with operations on what has a name."""

    def __init__(self, transport: Transport, names: Names) -> None:
        super().__init__(transport)
        self._names = names


def _workspace_name(text: str) -> str:
    return _WORKSPACES + text.removeprefix(_WORKSPACES)
