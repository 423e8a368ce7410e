"""The credential that a request presents: exactly one, in a place that is allowed, or none."""

import base64
import re
from collections.abc import Sequence
from urllib.parse import unquote

AUTHORIZATION = "authorization"
API_KEY = "x-api-key"
TOKEN_MAX_LENGTH = 1_024
# What a header that was sent twice looks like once a proxy has joined it (RFC 9110 section 5.3) has
# a comma in it; no token has.
_TOKEN = re.compile(r"[!-+\--~]+")
_SCHEME = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?: +(.*))?", re.DOTALL)


class RefusedCredential(Exception):
    """Credentials that contradict each other, or that no program of good will sends."""

    reason = "CREDENTIAL_REFUSED"


class CredentialReader:
    """Finds the one token that a request presents.

    Never that of a query string, which is in logs and histories.

    Args:
        bearer: whether `Authorization: Bearer <token>` may present it.
        basic: whether the password of HTTP Basic (RFC 7617) may, whatever the name.
        api_key_header: a header, in any case, that may have the token and nothing else.
    """

    def __init__(
        self, *, bearer: bool = True, basic: bool = False, api_key_header: str | None = None
    ) -> None:
        self._api_key_header = api_key_header and api_key_header.lower()
        named = (AUTHORIZATION if bearer or basic else None, self._api_key_header)
        self.headers = tuple(dict.fromkeys(filter(None, named)))
        """The headers that a token may be in, in lower case."""
        self._bearer = bearer
        self._basic = basic

    def __call__(self, sent: Sequence[tuple[str, str]]) -> str:
        """The token; empty if none is presented: what another scheme says is none.

        Args:
            sent: all that was sent of `headers`: names in lower case, and values.

        Raises:
            RefusedCredential: there is more than one, or one that is malformed as a header. What
                takes the first of two, and what the last, would not mean the same one.
        """
        if not sent:
            return ""
        if len(sent) > 1:
            raise RefusedCredential("more than one credential was sent")
        name, value = sent[0]
        if name == self._api_key_header:
            return _checked(value)
        match = _SCHEME.fullmatch(value)
        if match is None:
            raise RefusedCredential("the Authorization header is malformed")
        scheme, rest = match[1].lower(), match[2] or ""
        if scheme == "bearer" and self._bearer:
            return _checked(rest)
        if scheme == "basic" and self._basic:
            return _checked(_password(rest))
        return ""


def address_of(peer: str) -> str:
    """The address in what gRPC calls a peer, `ipv4:192.0.2.1:4711`; empty if it has none."""
    kind, _, rest = unquote(peer).partition(":")
    return without_zone(rest.rpartition(":")[0].strip("[]")) if kind in {"ipv4", "ipv6"} else ""


def without_zone(address: str) -> str:
    """The address; empty if it has a zone, `fe80::1%eth0`.

    A zone is a matter of this machine: the server takes none, and in a network there is none.
    Without an address, only keys that are bound to networks are denied.
    """
    return "" if "%" in address else address


def _password(encoded: str) -> str:
    try:
        _name, password = base64.b64decode(encoded, validate=True).decode("ascii").split(":", 1)
    except ValueError:
        raise RefusedCredential("the Basic credential is malformed") from None
    return password


def _checked(token: str) -> str:
    if not token:
        raise RefusedCredential("an empty credential was sent")
    if len(token) > TOKEN_MAX_LENGTH or _TOKEN.fullmatch(token) is None:
        raise RefusedCredential("the credential contains what is in no token, or is two")
    return token
