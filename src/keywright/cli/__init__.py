"""The command line: what people and scripts do with keys and users, on the SDK alone."""

from keywright.cli.main import app

__all__ = ["app"]
