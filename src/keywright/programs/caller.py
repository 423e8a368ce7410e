"""How a program that serves calls the server: as the options of every command say."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import typer

if TYPE_CHECKING:
    from keywright.sdk.authenticating.authenticator import Authenticator
    from keywright.sdk.client import AsyncClient


class _Way(TypedDict):
    ca_file: Path | None
    certificate_file: Path | None
    key_file: Path | None
    allow_plaintext: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """What the options of every command say; what they do not say is in the environment.

    As texts, so that it can be handed on as JSON.
    """

    uri: str | None = None
    api_key_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    allow_plaintext: bool = False

    @classmethod
    def of(cls, ctx: typer.Context) -> "Caller":
        """What was said before the program's name."""
        options = ctx.find_root().params

        def text(name: str) -> str | None:
            return str(options[name]) if options.get(name) else None

        return cls(
            uri=text("uri"),
            api_key_file=text("api_key_file"),
            ca_file=text("ca_file"),
            certificate_file=text("certificate_file"),
            key_file=text("key_file"),
            allow_plaintext=bool(options.get("allow_plaintext")),
        )

    def authenticator(self) -> "Authenticator":
        """What asks the server who presents a token.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        from keywright.sdk.authenticating.authenticator import Authenticator  # noqa: PLC0415
        from keywright.sdk.connection.credentials import read_api_key  # noqa: PLC0415

        key = _path(self.api_key_file)
        return Authenticator(self.uri, None if key is None else read_api_key(key), **self._way())

    def anonymous_client(self, workspace: str | None) -> "AsyncClient":
        """A client without a key, for those who bring their own.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        from keywright.sdk.client import AsyncClient  # noqa: PLC0415

        return AsyncClient(self.uri, anonymous=True, workspace=workspace, **self._way())

    def _way(self) -> _Way:
        return {
            "ca_file": _path(self.ca_file),
            "certificate_file": _path(self.certificate_file),
            "key_file": _path(self.key_file),
            "allow_plaintext": self.allow_plaintext,
        }


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None
