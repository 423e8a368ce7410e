"""Where the key is in a request: exactly one, in one of the places that are allowed."""

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from enum import Enum


class CredentialSource(Enum):
    """A place that a key may be presented in. Never the query: it is logged everywhere."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    BASIC = "basic"
    """The password of HTTP Basic (RFC 7617), for git, pip and their like; the name is ignored."""


HEADER_OF: Mapping[CredentialSource, str] = {
    CredentialSource.BEARER: "authorization",
    CredentialSource.X_API_KEY: "x-api-key",
    CredentialSource.BASIC: "authorization",
}
TOKEN_MAX_LENGTH = 1_024
_X_API_KEY = HEADER_OF[CredentialSource.X_API_KEY]
# What a header that was sent twice looks like once a proxy has joined it (RFC 9110 section 5.3) has
# a comma in it; no token has.
_TOKEN = re.compile(r"[!-+\--~]+")
_SCHEME = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?: +(.*))?", re.DOTALL)


class RefusedCredential(Exception):
    """Credentials that contradict each other, or that no program of good will sends."""


class CredentialReader:
    """Finds the one token that a request presents.

    Args:
        sources: where a key may be.
    """

    def __init__(self, sources: Collection[CredentialSource]) -> None:
        self.headers = tuple(sorted({HEADER_OF[source] for source in sources}))
        """The headers that a key may be in, in lower case."""
        self._bearer = CredentialSource.BEARER in sources
        self._basic = CredentialSource.BASIC in sources

    def __call__(self, sent: Sequence[tuple[str, str]]) -> str:
        """The token; empty if none is presented.

        Args:
            sent: all that was sent of `headers`: names in lower case, and values.

        Raises:
            RefusedCredential: there is more than one, or one that is malformed as a header.
        """
        if not sent:
            return ""
        if len(sent) > 1:
            raise RefusedCredential("more than one credential was sent")
        name, value = sent[0]
        if name == _X_API_KEY:
            return _checked(value)
        match = _SCHEME.fullmatch(value)
        if match is None:
            raise RefusedCredential("the Authorization header is malformed")
        scheme, rest = match[1].lower(), match[2] or ""
        if scheme == "bearer" and self._bearer:
            return _checked(rest)
        if scheme == "basic" and self._basic:
            return _checked(_password(rest))
        return ""  # what another scheme says is no key


def _password(encoded: str) -> str:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise RefusedCredential("the Basic credential is malformed") from None
    _, colon, password = decoded.partition(":")
    if not colon:
        raise RefusedCredential("the Basic credential is malformed")
    return password


def _checked(token: str) -> str:
    if not token:
        raise RefusedCredential("an empty credential was sent")
    if len(token) > TOKEN_MAX_LENGTH or _TOKEN.fullmatch(token) is None:
        raise RefusedCredential("the credential contains what is in no token, or is two")
    return token
