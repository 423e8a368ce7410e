"""The file in which a caller's programs find what is neither given nor in the environment."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keywright.sdk.errors import ConfigurationError

# `KEYWRIGHT_CONFIG` names the server's own file, which has other settings.
CONFIG_FILE_VARIABLE = "KEYWRIGHT_CLIENT_CONFIG"

_SETTINGS = ("uri", "api_key", "api_key_file", "ca_file", "certificate_file", "key_file")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a TOML file says: `uri`, `api_key` or `api_key_file`, and the files for TLS.

    Attributes:
        path: where it is, or would be; None if there is no place for one.
    """

    path: Path | None
    _settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # one is the key

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> "ConfigFile":
        """The file that KEYWRIGHT_CLIENT_CONFIG names, else keywright/config.toml.

        The latter is in XDG_CONFIG_HOME, else in ~/.config, and need not exist
        (https://specifications.freedesktop.org/basedir-spec/latest).

        Raises:
            ConfigurationError: `CONFIG_FILE_INVALID`, it cannot be used as it is.
        """
        named = environ.get(CONFIG_FILE_VARIABLE)
        path = Path(named) if named else _default_path(environ)
        if path is None:
            return cls(None)
        try:
            return cls(path, _read(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            if named:
                raise _invalid(path, f"cannot be read: {error.strerror}") from None
            return cls(path)
        except OSError as error:
            raise _invalid(path, f"cannot be read: {error.strerror}") from None

    def get(self, setting: str) -> str | None:
        """The value of a setting; None if the file has none."""
        return self._settings.get(setting)

    def get_file(self, setting: str) -> Path | None:
        """The file that a setting names, from the directory of this one if it is relative.

        Raises:
            ConfigurationError: `CONFIG_FILE_INVALID`.
        """
        value = self.get(setting)
        if value is None or self.path is None:
            return None
        try:
            return self.path.parent / Path(value).expanduser()
        except RuntimeError:
            raise _invalid(
                self.path, f"has {value!r} as {setting}, and there is no such home directory"
            ) from None


def _default_path(environ: Mapping[str, str]) -> Path | None:
    base, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    if os.path.isabs(base):  # noqa: PTH117  the specification: a relative one is ignored
        directory = Path(base)
    elif home:
        directory = Path(home) / ".config"
    else:
        return None
    return directory / "keywright" / "config.toml"


def _read(path: Path) -> Mapping[str, str]:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        try:
            settings: dict[str, Any] = tomllib.loads(file.read().decode())
        except ValueError as error:
            # The text of a mistake in TOML has no value in it, but where it is.
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
            raise _invalid(path, f"is not a TOML file: {why}") from None
    unknown = sorted(settings.keys() - set(_SETTINGS))
    if unknown:
        raise _invalid(
            path, f"has what is no setting: {', '.join(unknown)}; there are {', '.join(_SETTINGS)}"
        )
    for name, value in settings.items():
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise _invalid(path, f"must have text as {name}")
    if "api_key" in settings:
        if "api_key_file" in settings:
            raise _invalid(path, "has api_key and api_key_file: leave one out")
        if mode & _OTHERS:
            raise _invalid(
                path,
                "has an api_key, but others than its owner may read or change it: run "
                f"chmod 600 {path}, and rotate the key if others have had access",
            )
    return settings


def _invalid(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(f"the file {path} {problem}", reason="CONFIG_FILE_INVALID")
