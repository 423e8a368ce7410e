"""From what people type to resource names: ids, e-mail addresses and full names are all taken."""

from keywright.sdk.authentication import authenticate
from keywright.sdk.credentials import Secret
from keywright.sdk.flow import Flow

_WORKSPACES = "workspaces/"


class Names:
    """Names in one workspace: the one given, else the caller's own, which is asked for once."""

    def __init__(self, api_key: Secret, workspace: str | None) -> None:
        self._api_key = api_key
        self._workspace = workspace and _WORKSPACES + workspace.removeprefix(_WORKSPACES)

    def workspace(self) -> Flow[str]:
        """`workspaces/{workspace}`."""
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

    def _within(self, collection: str, text: str) -> Flow[str]:
        if text.startswith(_WORKSPACES):
            return text
        workspace = yield from self.workspace()
        return f"{workspace}/{collection}/{text}"
