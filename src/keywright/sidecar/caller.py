"""How the sidecar calls the server: the address, and the key, as the command line tells them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keywright.sdk.authenticating.authenticator import Authenticator


@dataclass(frozen=True, slots=True)
class Caller:
    """What the options of every command say; what they do not say is in the environment."""

    uri: str | None = None
    api_key_file: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    allow_plaintext: bool = False

    def authenticator(self) -> "Authenticator":
        """What asks the server.

        Raises:
            ConfigurationError: something in it is wrong.
        """
        from keywright.sdk.authenticating.authenticator import Authenticator  # noqa: PLC0415
        from keywright.sdk.connection.credentials import read_api_key  # noqa: PLC0415

        key = _path(self.api_key_file)
        return Authenticator(
            self.uri,
            None if key is None else read_api_key(key),
            ca_file=_path(self.ca_file),
            certificate_file=_path(self.certificate_file),
            key_file=_path(self.key_file),
            allow_plaintext=self.allow_plaintext,
        )


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None
