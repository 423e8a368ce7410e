"""What is in the private directory of one process."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Where each thing is."""

    directory: Path

    @property
    def bootstrap(self) -> Path:
        """Envoy's configuration."""
        return self.directory / "envoy.json"

    @property
    def admin(self) -> Path:
        """The UNIX socket of Envoy's administration."""
        return self.directory / "admin.sock"

    @property
    def grpc_aio(self) -> Path:
        """The UNIX socket of grpc.aio, where there is one beside Envoy."""
        return self.directory / "grpc.sock"
