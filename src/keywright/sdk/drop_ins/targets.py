"""Request targets, taken only if every proxy and every application understands them the same way.

A rule is worth what the application behind it makes of the same path. `/admin` can also be
written `//admin`, `/x/../admin`, `/%61dmin`, `/admin;x` or `/admin.`, and programs differ in which
of them are the same (RFC 3986 section 6.2 leaves it to them). None of these is guessed at: each is
refused.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

TARGET_MAX_LENGTH = 8_192
# Path characters of RFC 3986 without `;`, which some servers cut segments at. A backslash, a space,
# controls and whatever is not ASCII are not among them.
PLAIN = "A-Za-z0-9._~!$&'()*+,=:@-"
_PATH = re.compile(f"(?:/[%{PLAIN}]*)+")
_NOT_QUOTED = "/!$&'()*+,=:@"
_QUERY = re.compile(r"[!-\"$-~]*")
_PERCENT = re.compile(r"%(?P<octet>[0-9A-Fa-f]{2})?")
# Written encoded they hide from one reader what another sees: what needs no encoding at all (RFC
# 3986 section 2.3), what separates (`/ \ ; ? #`), what is decoded twice (`%`), and controls.
_NEVER_ENCODED = frozenset(
    [*range(0x21), 0x7F, *map(ord, "/\\;?#%"), *map(ord, "-._~")]
    + [octet for octet in range(0x80) if chr(octet).isalnum()]
) - {0x20}


class RefusedTarget(Exception):
    """A target that could be understood in more than one way; the message says which part."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path, segment by segment: as it was written, and with what is encoded in it decoded.

    `/` has one segment, which is empty; so has `/a/` at its end.
    """

    raw: tuple[str, ...]
    segments: tuple[str, ...]

    @property
    def decoded(self) -> str:
        """The path as applications see it."""
        return f"/{'/'.join(self.segments)}"


def parse_target(target: str) -> Path:
    """The path of a request target, `/projects/abc?page=2`.

    Raises:
        RefusedTarget: it is none, or an ambiguous one.
    """
    if len(target) > TARGET_MAX_LENGTH:
        raise RefusedTarget(f"the target is longer than {TARGET_MAX_LENGTH} characters")
    path, _, query = target.partition("?")
    if not path.startswith("/"):
        raise RefusedTarget("the target is not a path that begins with /")
    if _PATH.fullmatch(path) is None:
        raise RefusedTarget("the path contains a character that belongs in none")
    if "//" in path:
        raise RefusedTarget("the path contains an empty segment")
    if _QUERY.fullmatch(query) is None:
        raise RefusedTarget("the query contains a character that belongs in none")
    if "./" in path or path.endswith("."):
        raise RefusedTarget("a segment of the path ends with a dot")
    raw = tuple(path[1:].split("/"))
    if "%" not in path:
        return Path(raw, raw)
    return Path(raw, tuple(map(_decoded, raw)))


def parse_decoded(path: str) -> Path:
    """The path that a server has decoded already.

    Raises:
        RefusedTarget: it is an ambiguous one, however it was encoded.
    """
    return parse_target(quote(path, _NOT_QUOTED, errors="surrogatepass"))


def _decoded(segment: str) -> str:
    octets = bytearray()
    end = 0
    for match in _PERCENT.finditer(segment):
        octet = -1 if match["octet"] is None else int(match["octet"], 16)
        if octet < 0 or octet in _NEVER_ENCODED:
            raise RefusedTarget("the path contains an encoding that can be understood two ways")
        octets += segment[end : match.start()].encode()
        octets.append(octet)
        end = match.end()
    octets += segment[end:].encode()
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise RefusedTarget("the path is encoded as something else than UTF-8") from None
    if text != text.strip() or not text.isprintable():
        raise RefusedTarget("a segment of the path begins or ends with a space, or hides something")
    return text
