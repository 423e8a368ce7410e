"""Where a client finds its server's address and its own key; and how it holds a secret."""

import hmac
from collections.abc import Mapping
from typing import NoReturn

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


def find_uri(given: str | None, environ: Mapping[str, str]) -> str:
    """The server's address: the argument, else KEYWRIGHT_URI, else a server on this machine."""
    return (environ.get(URI_VARIABLE, "") if given is None else given).strip() or DEFAULT_URI


def find_api_key(given: str | Secret | None, environ: Mapping[str, str]) -> Secret:
    """The key to call with: the argument, else KEYWRIGHT_API_KEY.

    Raises:
        ConfigurationError: `API_KEY_MISSING`, or `API_KEY_MALFORMED` for what no header can carry;
            the message never contains the key.
    """
    if given is None:
        given = environ.get(API_KEY_VARIABLE, "")
        source = f"the environment variable {API_KEY_VARIABLE}"
    else:
        source = "the API key given"
    key = (given.reveal() if isinstance(given, Secret) else given).strip()
    if not key:
        raise ConfigurationError(
            "no API key: give one (api_key; on the command line --api-key-file), or set the "
            f"environment variable {API_KEY_VARIABLE}; {source} is empty or not there",
            reason="API_KEY_MISSING",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError(
            f"{source} contains characters that are in no token", reason="API_KEY_MALFORMED"
        )
    return Secret(key)


def _bytes(secret: Secret) -> bytes:
    # compare_digest takes text only if it is ASCII.
    return secret.reveal().encode("utf-8", "surrogatepass")
