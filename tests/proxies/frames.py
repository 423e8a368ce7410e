"""What is tried in HTTP/2, where a header is whatever bytes a client says (RFC 9113 section 8)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hpack import Encoder
from hyperframe.frame import ContinuationFrame, HeadersFrame

from tests.proxies.attempts import SECRET_PATH, TARGETS, wrongs_of
from tests.proxies.fronts import Front
from tests.support.http2 import connection
from tests.support.spoofs import FORGED, IDENTITY, SPOOFS

Fields = tuple[tuple[str, str], ...]
_PATIENCE = 60
_AT_A_TIME = 32
_MARK = "x-attempt"
_STREAM = 1


@dataclass(frozen=True)
class FramedAttempt:
    """A request of somebody who may only read projects, field by field.

    Attributes:
        pseudo: the pseudo-headers, and whatever else comes before the token.
        after: the fields after the token.
        trailers: the fields after a body that is empty; None: there is neither.
        cut: how many bytes of the header block are in HEADERS, and the others in CONTINUATION;
            negative: counted from its end; None: all are in HEADERS.
    """

    pseudo: Fields
    after: Fields = ()
    trailers: Fields | None = None
    cut: int | None = None

    def __str__(self) -> str:
        return f"{self.pseudo!a} {self.after!a} {self.trailers!a} {self.cut}"

    def frames(self, token: str, mark: str) -> bytes:
        """What is sent; the application can tell whose request it is by the mark."""
        encoder = Encoder()
        known = (("authorization", f"Bearer {token}"), (_MARK, mark))
        fields = (*self.pseudo, *known, *self.after)
        block = _block(encoder, fields)
        cut = len(block) if self.cut is None else self.cut
        first = HeadersFrame(_STREAM, block[:cut])
        rest = ContinuationFrame(_STREAM, block[cut:], flags=["END_HEADERS"])
        if self.cut is None:
            first.flags.add("END_HEADERS")
        if self.trailers is None:
            first.flags.add("END_STREAM")
        sent = first.serialize() + (b"" if self.cut is None else rest.serialize())
        if self.trailers is not None:
            last = _block(encoder, self.trailers)
            sent += HeadersFrame(_STREAM, last, flags=["END_HEADERS", "END_STREAM"]).serialize()
        return sent


def _block(encoder: Encoder, fields: Fields) -> bytes:
    return encoder.encode(
        [(name.encode("latin-1"), text.encode("latin-1")) for name, text in fields]
    )


_USUAL = {
    ":method": "GET",
    ":scheme": "http",
    ":authority": "app.example",
    ":path": "/projects/abc",
}


def _with(name: str, *values: str, others: dict[str, str] = _USUAL) -> Fields:
    """The usual pseudo-headers, with these values of one of them; without any, without it."""
    fields = [(each, value) for each, value in others.items() if each != name]
    return (*fields, *((name, value) for value in values))


def _path(target: str) -> Fields:
    return _with(":path", target)


PLAIN = FramedAttempt(_path("/projects/abc"))
_SECRET = _path(SECRET_PATH)
_DELETE = _with(":method", "DELETE")
# Values of pseudo-headers, alone and beside an innocent one on either side.
_ODD: dict[str, Sequence[str]] = {
    ":path": [
        SECRET_PATH,
        "http://app.example/admin/secret",
        "/admin/secret#/public/x",
        "/public/x HTTP/1.1\r\nX-Keywright-User: root\r\n\r\nGET /admin/secret",
        "/public/x\r\nX-Keywright-User: root",
        "/public/x\nX-Keywright-User: root",
        "/public/x X-Keywright-User: root",
        "/public/x\0",
        "/public/\xff",
        "/public\t/x",
        "*",
        "",
    ],
    ":method": [
        "DELETE",
        "get",
        "delete",
        "",
        "GET ",
        " DELETE",
        "CONNECT",
        "PRI",
        "TRACE",
        "GET /admin/secret HTTP/1.1\r\nX-Keywright-User: root\r\n\r\nGET",
        "GET\nX-Keywright-User:root",
        "G\xcbT",
    ],
    ":scheme": [
        "https",
        "HTTP",
        "ftp",
        "",
        "http://app.example/admin/secret?",
        "ht\r\ntp",
        "javascript",
    ],
    ":authority": [
        "other.example",
        "root@app.example",
        "app.example/admin/secret",
        "app.example:0",
        "",
        "app.example\r\nX-Keywright-User: root",
        "app.example, other.example",
        "app_example",
        "[::1",
    ],
}
_NO_NAMES = [
    *(name.title() for name in IDENTITY),
    *(name.replace("-", "_") for name in IDENTITY),
    *(
        shape.format("x-keywright-user")
        for shape in (
            "{} ",
            " {}",
            "{}:",
            "{}\0",
            "{}\t",
            "{0}\r\n{0}",
            "\n{}",
            "{}\xff",
            ":{}:",
            "{}(",
        )
    ),
    "",
    "Authorization",
    "X-Api-Key",
]
_OF_A_CONNECTION: list[tuple[str, str]] = [
    *(("connection", name) for name in IDENTITY),
    ("connection", "close, authorization"),
    ("connection", "upgrade"),
    ("proxy-connection", "x-keywright-user"),
    ("keep-alive", "timeout=5"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("upgrade", "websocket"),
    ("http2-settings", "AAMAAABk"),
    ("te", "trailers"),
    ("te", "gzip"),
    ("te", "trailers, x-keywright-user"),
    ("trailer", "x-keywright-user"),
    ("content-length", "5"),
    ("content-length", "0, 5"),
    ("expect", "100-continue"),
]
_FORGED = tuple((name, FORGED) for name in IDENTITY)

FRAMED: list[FramedAttempt] = [
    PLAIN,
    # Each pseudo-header odd, missing, doubled, and late.
    *(FramedAttempt(_with(name, each)) for name in _ODD for each in _ODD[name]),
    *(FramedAttempt(_with(name)) for name in _USUAL),
    *(FramedAttempt(_with(name, _USUAL[name], each)) for name in _ODD for each in _ODD[name]),
    *(FramedAttempt(_with(name, each, _USUAL[name])) for name in _ODD for each in _ODD[name]),
    *(FramedAttempt(_with(name), ((name, _USUAL[name]),)) for name in _USUAL),
    *(FramedAttempt(PLAIN.pseudo, ((name, _ODD[name][0]),)) for name in _ODD),
    # Those that there are not, identity headers among them.
    *(FramedAttempt((*PLAIN.pseudo, (f":{name}", FORGED))) for name in IDENTITY),
    *(FramedAttempt((*_path("/public/x"), (f":{name}", FORGED))) for name in IDENTITY),
    *(
        FramedAttempt((*PLAIN.pseudo, each))
        for each in ((":status", "200"), (":protocol", "websocket"), (":", "x"), (":user", FORGED))
    ),
    FramedAttempt((*_with(":method", "CONNECT"), (":protocol", "websocket"))),
    FramedAttempt(((":method", "CONNECT"), (":authority", "app.example:80"))),
    # Two hosts.
    *(
        FramedAttempt(pseudo, hosts)
        for pseudo in (PLAIN.pseudo, _with(":authority"), _with(":authority", ""))
        for hosts in (
            (("host", "other.example"),),
            (("host", "app.example"), ("host", "other.example")),
            (("host", "app.example/public/x"),),
            (("host", ""),),
        )
    ),
    # What is tried in HTTP/1.1.
    *(FramedAttempt(_path(target)) for target in TARGETS),
    *(
        FramedAttempt(pseudo, tuple((name.lower(), value) for name, value in headers))
        for headers in SPOOFS
        for pseudo in (PLAIN.pseudo, _path("/public/x"))
    ),
    # Names that are none, and values that go on in another line.
    *(FramedAttempt(PLAIN.pseudo, ((name, FORGED),)) for name in _NO_NAMES),
    *(
        FramedAttempt(PLAIN.pseudo, (("x-a", f"b{end}X-Keywright-User: root"),))
        for end in ("\r\n", "\n", "\r", "\0", "\r\n ")
    ),
    # Matters of a connection, of which HTTP/2 knows none.
    *(FramedAttempt(PLAIN.pseudo, (each,)) for each in _OF_A_CONNECTION),
    *(FramedAttempt(PLAIN.pseudo, (each, *_FORGED)) for each in _OF_A_CONNECTION),
    # What comes after the body, or in another frame.
    FramedAttempt(PLAIN.pseudo, (("content-length", "0"),), trailers=_FORGED),
    FramedAttempt(PLAIN.pseudo, (("content-length", "0"),), trailers=((":path", SECRET_PATH),)),
    FramedAttempt(PLAIN.pseudo, (("te", "trailers"), ("trailer", "x-keywright-user")), _FORGED),
    *(FramedAttempt(PLAIN.pseudo, _FORGED, cut=cut) for cut in (0, 1, 10, -1, -40)),
    FramedAttempt(_SECRET, cut=5),
    FramedAttempt(_DELETE, _FORGED, cut=5),
]


async def framed_wrongs(front: Front, token: str, user: str) -> list[str]:
    """What an application has received of the attempts that it should never have seen.

    Many are made at the same time: Envoy takes a second to close a connection.
    """
    seen_before = len(front.application.received)
    at_a_time = asyncio.Semaphore(_AT_A_TIME)

    async def make(number: int, attempt: FramedAttempt) -> None:
        async with at_a_time, asyncio.timeout(_PATIENCE), connection(front.web) as client:
            await client.send(attempt.frames(token, str(number)))
            await client.ended.wait()

    async with asyncio.TaskGroup() as making:
        for number, attempt in enumerate(FRAMED):
            making.create_task(make(number, attempt))
    return [
        f"{FRAMED[int(dict(request[2])[_MARK])]}: {each}"
        for request in front.application.received[seen_before:]
        for each in wrongs_of(front, request, user)
    ]
