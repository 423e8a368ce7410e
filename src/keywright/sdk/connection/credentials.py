"""Where a client finds its server's address and its own key; and how it holds a secret."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from keywright.sdk.connection.address import Address
from keywright.sdk.connection.config_file import ConfigFile
from keywright.sdk.errors import ConfigurationError

URI_VARIABLE = "KEYWRIGHT_URI"
API_KEY_VARIABLE = "KEYWRIGHT_API_KEY"
DEFAULT_URI = "127.0.0.1:7700"


class Secret:
    """Text that does not print, cannot be changed and is not pickled; `reveal()` gives it."""

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The secret itself: only for where it is needed."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('**********')"

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash(self._text)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret cannot be changed")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied; use reveal() where it is needed")


def hidden(text: str | Secret) -> Secret:
    """What may be a secret already, as one."""
    return text if isinstance(text, Secret) else Secret(text)


def find_uri(given: str | None, environ: Mapping[str, str]) -> str:
    """The server's address: the argument, else KEYWRIGHT_URI, else the file's, else this machine.

    Raises:
        ConfigurationError: `CONFIG_FILE_INVALID`; `URI_MALFORMED`, of one that was not given, with
            where it was found.
    """
    if given is not None:
        return _text(given, "a server's address").strip()
    uri = environ.get(URI_VARIABLE, "").strip()
    if uri:
        return _address(uri, f"the environment variable {URI_VARIABLE}")
    config = ConfigFile.find(environ)
    uri = (config.get("uri") or "").strip()
    return _address(uri, f"uri in {config.path}") if uri else DEFAULT_URI


def find_api_key(given: str | Secret | None, environ: Mapping[str, str]) -> Secret:
    """The key to call with: the argument, else KEYWRIGHT_API_KEY, else the file's.

    Raises:
        ConfigurationError: `API_KEY_MISSING`, or `API_KEY_MALFORMED` for what no header can carry;
            the message never contains the key. `CONFIG_FILE_INVALID`.
    """
    if given is not None:
        return given_api_key(given)
    key = environ.get(API_KEY_VARIABLE, "").strip()
    if key:
        return _key(key, f"the environment variable {API_KEY_VARIABLE}")
    return _key_of(ConfigFile.find(environ))


def given_api_key(given: str | Secret) -> Secret:
    """A key that a program gives.

    Raises:
        ConfigurationError: `API_KEY_MISSING`, it is empty; `API_KEY_MALFORMED`.
        TypeError: it is no text.
    """
    key = _text(given.reveal() if isinstance(given, Secret) else given, "an API key").strip()
    if not key:
        raise _missing("the API key that was given is empty")
    return _key(key, "the API key given")


def read_api_key(file: Path) -> Secret:
    """The key that a file holds.

    Raises:
        ConfigurationError: `API_KEY_MISSING`, it cannot be read or is empty; `API_KEY_MALFORMED`.
    """
    key = read_token(file)
    if not key:
        raise _missing(f"the file {file} is empty")
    return _key(key, f"the key in {file}")


def read_token(file: Path) -> str:
    """The text of a file that holds a token, whatever it is; empty if nothing is in it.

    Raises:
        ConfigurationError: `API_KEY_MISSING`, it cannot be read.
    """
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(
            f"the file {file} cannot be read: {why}", reason="API_KEY_MISSING"
        ) from None


def _key_of(config: ConfigFile) -> Secret:
    file = config.get_file("api_key_file")
    if file is not None:
        return read_api_key(file)
    key = (config.get("api_key") or "").strip()
    if key:
        return _key(key, f"the key in {config.path}")
    place = config.path or "a configuration file, for which there is no home directory"
    raise _missing(
        "none was given (api_key; on the command line --api-key-file), the environment variable "
        f"{API_KEY_VARIABLE} is empty or not set, and there is no api_key or api_key_file in "
        f"{place}"
    )


def _missing(why: str) -> ConfigurationError:
    return ConfigurationError(f"no API key: {why}", reason="API_KEY_MISSING")


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):  # whoever checks no types is told all the same
        raise TypeError(f"{what} is text, and not {type(given).__name__}")
    return given


def _address(uri: str, source: str) -> str:
    try:
        Address.parse(uri)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error.message}", reason=error.reason) from None
    return uri


def _key(key: str, source: str) -> Secret:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            f"{source} contains characters that are in no token", reason="API_KEY_MALFORMED"
        )
    return Secret(key)


def _bytes(secret: Secret) -> bytes:
    # compare_digest takes text only if it is ASCII.
    return secret.reveal().encode("utf-8", "surrogatepass")
