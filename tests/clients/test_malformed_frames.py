"""Calls that break gRPC over HTTP/2 are each answered, or ended, and cost nobody else anything.

What may be said of each is in a table, from gRPC's PROTOCOL-HTTP2.md, compression.md and
statuscodes.md and RFC 9113: a server has a choice in many. Never may such a call be `OK` where a
message could have been misread, and never may it hang.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keywright.v1.auth_service_pb2 import AuthenticateRequest, AuthenticateResponse
from keywright.v1.key_service_pb2 import ListKeysRequest
from tests.clients.cases import AUTHENTICATE, LIST_KEYS
from tests.clients.fronts import Front
from tests.clients.raw_calls import Answer, Fields, RawConnection, raw_connection
from tests.support.database import Cluster
from tests.support.service import PARENT, Service, service

pytestmark = pytest.mark.slow

OPEN_AT_ONCE = 8
FEW_STREAMS = {"max_concurrent_streams": str(OPEN_AT_ONCE)}
ROUNDS = 2
_PREFIX_BYTES = 5
_TRIES = 200


@pytest.fixture(scope="module", name="service")
async def _service(cluster: Cluster, front: Front) -> AsyncIterator[Service]:
    measured = {**FEW_STREAMS, "metrics_listen": "127.0.0.1:0"}
    async with service(await cluster.migrated(), front=front.name, **measured) as running:
        yield running
        async with asyncio.timeout(20):  # the last ones end when the server hears of it
            while await calls_in_flight(running):
                pass


async def calls_in_flight(of: Service) -> float:
    """How many the server counts, whichever of its workers has them."""
    address = (await of.process.logged("serving metrics"))["listen"]

    def get() -> str:
        with urlopen(f"http://{address}/metrics", timeout=10) as reply:
            return str(reply.read().decode())

    families = list(text_string_to_metric_families(await asyncio.to_thread(get)))
    [counted] = [each for each in families if each.name == "keywright_calls_in_flight"]
    return sum(sample.value for sample in counted.samples)


@dataclass(frozen=True)
class Malformed:
    """A call that is not as it should be, and what may be said of it.

    Attributes:
        answers: codes of gRPC, statuses of HTTP, `reset`, `closed` (the connection), and
            `answered`: what a good call would have been told.
        fields: what is told in HEADERS beside, or in place of, the usual; None: left out.
        body: what DATA carries, a frame each; None: a good message.
        ends: whether the client ends the stream.
        most: the length of a frame of HEADERS or CONTINUATION.
    """

    answers: set[str]
    fields: tuple[tuple[str, str | None], ...] = ()
    body: tuple[bytes, ...] | None = None
    ends: bool = True
    trailers: Fields | None = None
    most: int | None = None


def message(content: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """A message with its prefix, which may promise another length."""
    promised = len(content) if length is None else length
    return struct.pack(">BI", flag, promised) + content


GOOD = AuthenticateRequest(token="none").SerializeToString()
ENDED = {"reset", "closed"}
NO_MESSAGE = {"INTERNAL", "UNIMPLEMENTED", "UNKNOWN", *ENDED}
NO_REQUEST = {"HTTP 400", *NO_MESSAGE}
SOON = (("grpc-timeout", "300m"),)
ANSWERED = {"answered"}  # as if it were a good call
MALFORMED: dict[str, Malformed] = {
    # The length-prefixed message.
    "a prefix that promises more than comes": Malformed(
        NO_MESSAGE, fields=SOON, body=(message(GOOD, length=len(GOOD) + 1),)
    ),
    "a prefix that promises less than comes": Malformed(
        NO_MESSAGE, body=(message(GOOD, length=len(GOOD) - 1),)
    ),
    "a prefix that promises all there can be": Malformed(
        NO_MESSAGE | {"RESOURCE_EXHAUSTED"}, fields=SOON, body=(message(GOOD, length=2**32 - 1),)
    ),
    "a prefix that is cut short": Malformed(NO_MESSAGE, fields=SOON, body=(message(GOOD)[:3],)),
    "a prefix and nothing after it": Malformed(
        NO_MESSAGE, fields=SOON, body=(message(GOOD)[:_PREFIX_BYTES],)
    ),
    "no message": Malformed(NO_MESSAGE, fields=SOON, body=()),
    "a frame of no bytes": Malformed(NO_MESSAGE, fields=SOON, body=(b"",)),
    "two messages in a call of one": Malformed(NO_MESSAGE | ANSWERED, body=(message(GOOD) * 2,)),
    "a message and the prefix of another": Malformed(
        NO_MESSAGE | ANSWERED, body=(message(GOOD) + message(GOOD)[:3],)
    ),
    "a flag that says compressed, and no encoding": Malformed(
        NO_MESSAGE, body=(message(GOOD, flag=1),)
    ),
    "a flag that nobody knows": Malformed(NO_MESSAGE, body=(message(GOOD, flag=2),)),
    "an encoding that nobody knows": Malformed(
        {"UNIMPLEMENTED"}, (("grpc-encoding", "shorthand"),), (message(GOOD, flag=1),)
    ),
    "a message that is not what its encoding says": Malformed(
        NO_MESSAGE, (("grpc-encoding", "gzip"),), (message(GOOD, flag=1),)
    ),
    "a message in as many frames as it has bytes": Malformed(
        ANSWERED, body=tuple(bytes([each]) for each in message(GOOD))
    ),
    # The end of the request.
    "a body without an end": Malformed(
        {"DEADLINE_EXCEEDED", "CANCELLED", *ANSWERED, *ENDED}, SOON, ends=False
    ),
    "half a body without an end": Malformed(
        {"DEADLINE_EXCEEDED", "CANCELLED", *ENDED},
        SOON,
        (message(GOOD)[:7],),
        ends=False,
    ),
    "trailers of a client": Malformed(
        ANSWERED | NO_MESSAGE, trailers=(("x-after", "all"), ("grpc-status", "0"))
    ),
    # HEADERS.
    "headers in a hundred frames of CONTINUATION": Malformed(
        ANSWERED, (("x-long", "0123456789" * 200),), most=16
    ),
    "no te": Malformed(ANSWERED | NO_REQUEST, (("te", None),)),
    "another te": Malformed(ANSWERED | NO_REQUEST, (("te", "gzip"),)),
    "no content type": Malformed({"HTTP 415", *NO_MESSAGE}, (("content-type", None),)),
    "another content type": Malformed({"HTTP 415", *NO_MESSAGE}, (("content-type", "text/plain"),)),
    "a content type that begins like gRPC's": Malformed(
        ANSWERED | {"HTTP 415", *NO_MESSAGE}, (("content-type", "application/grpcx"),)
    ),
    "a content type with a format of messages": Malformed(
        ANSWERED, (("content-type", "application/grpc+proto"),)
    ),
    "GET": Malformed({"HTTP 405", "HTTP 404", "HTTP 415", *NO_MESSAGE}, ((":method", "GET"),)),
    "no path": Malformed(NO_REQUEST, ((":path", None),)),
    "an empty path": Malformed({"HTTP 404", *NO_REQUEST}, ((":path", ""),)),
    "a path that is none": Malformed({"HTTP 404", *NO_REQUEST}, ((":path", "keywright"),)),
    "no method": Malformed(NO_REQUEST, ((":method", None),)),
    "no scheme": Malformed(ANSWERED | NO_REQUEST, ((":scheme", None),)),
    "a name in capitals": Malformed(NO_REQUEST, (("X-Name", "value"),)),
    "a header of a connection": Malformed(ANSWERED | NO_REQUEST, (("connection", "close"),)),
    "a time that is none": Malformed(ANSWERED | NO_REQUEST, (("grpc-timeout", "soon"),)),
    "a time of too many digits": Malformed(
        ANSWERED | NO_REQUEST, (("grpc-timeout", "123456789012S"),)
    ),
    "a deadline that is over": Malformed(
        {"DEADLINE_EXCEEDED", "CANCELLED", *ANSWERED, *ENDED}, (("grpc-timeout", "1n"),)
    ),
    "bytes that are not base64": Malformed(
        ANSWERED | NO_REQUEST, (("x-bytes-bin", "*not base64*"),)
    ),
    "bytes without padding": Malformed(ANSWERED, (("x-bytes-bin", "YQ"),)),
    "bytes, two together": Malformed(ANSWERED, (("x-bytes-bin", "YQ==,YWI"),)),
    "a value that is not ASCII": Malformed(ANSWERED | NO_REQUEST, (("x-words", "gr\xf6\xdfer"),)),
    "a value with a line break": Malformed(NO_REQUEST, (("x-words", "a\r\nauthorization: b"),)),
}


# What is told of `none`, as a token and as a workspace.
GOOD_ONES = {AUTHENTICATE: "UNAUTHENTICATED", LIST_KEYS: "INVALID_ARGUMENT"}
# What malformed calls say wrongly. Who keeps that in mind for a connection of several clients would
# hold it against all of them.
WELL_FORMED = (
    ("grpc-timeout", "20S"),
    ("grpc-encoding", "identity"),
    ("x-bytes-bin", "YQ=="),
    ("x-words", "greater"),
    ("x-long", "longer"),
)


def usual(path: str, token: str) -> dict[str, str]:
    """The fields of a call."""
    return {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {token}",
    }


async def attempt(
    connection: RawConnection, token: str, call: Malformed, path: str = AUTHENTICATE
) -> Answer:
    """What is answered to a call, once there is a place for it."""
    for _ in range(_TRIES):
        answer = await _attempt(connection, {**usual(path, token), **dict(call.fields)}, call)
        if str(answer) != "refused":
            return answer
    raise AssertionError("streams that have ended were not freed")


async def _attempt(
    connection: RawConnection, told: Mapping[str, str | None], call: Malformed
) -> Answer:
    fields = [(name, value) for name, value in told.items() if value is not None]
    body: Sequence[bytes] = (message(GOOD),) if call.body is None else call.body
    last = len(body) - 1
    ends = call.ends and call.trailers is None
    stream = connection.begin(fields, ends=ends and not body, most=call.most)
    for index, content in enumerate(body):
        connection.data(stream, content, ends=ends and index == last)
    if call.trailers is not None:
        connection.trailers(stream, call.trailers)
    await connection.flush()
    answer = await connection.answer(stream)
    if not call.ends:
        connection.reset(stream)
        await connection.flush()
    return answer


async def good(connection: RawConnection, token: str) -> str:
    """Who is told of a good call on the connection, which others are answered on as well."""
    for path, request in (
        (LIST_KEYS, ListKeysRequest(parent=PARENT)),
        (AUTHENTICATE, AuthenticateRequest(token=token)),
    ):
        call = Malformed(set(), WELL_FORMED, (message(request.SerializeToString()),))
        answer = await attempt(connection, token, call, path)
        assert str(answer) == "OK", answer
    return AuthenticateResponse.FromString(answer.body[_PREFIX_BYTES:]).user.email


@pytest.mark.parametrize("path", GOOD_ONES)
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_call_is_answered_or_ended_and_leaves_nothing_behind(
    service: Service, front: Front, name: str, path: str
) -> None:
    await malformed_calls_leave_nothing_behind(service, front, name, path)


async def malformed_calls_leave_nothing_behind(
    service: Service, front: Front, name: str, path: str
) -> None:
    """As many as may be open, several times over, on a connection that may be closed for it.

    A front may send its methods different ways.
    """
    call, token = MALFORMED[name], service.admin_token
    expected = call.answers | front.deviations_from(name, path)
    async with raw_connection(service.uri) as beside:
        for _ in range(ROUNDS):
            async with raw_connection(service.uri) as connection:
                calls = [attempt(connection, token, call, path) for _ in range(OPEN_AT_ONCE)]
                said = {*map(str, await asyncio.gather(*calls))}
                assert {
                    "answered" if each == GOOD_ONES[path] else each for each in said
                } <= expected
                if not (connection.closed.is_set() or name in front.spoils):
                    assert await good(connection, token) == "admin@localhost"
            assert await good(beside, token) == "admin@localhost"


@pytest.mark.parametrize("sent", [0, 3, _PREFIX_BYTES, len(message(GOOD)) - 1, len(message(GOOD))])
async def test_a_call_that_is_reset_in_mid_body_frees_its_place(
    service: Service, sent: int
) -> None:
    fields = list(usual(AUTHENTICATE, service.admin_token).items())
    async with raw_connection(service.uri) as connection:
        for _ in range(ROUNDS * OPEN_AT_ONCE):
            stream = connection.begin(fields, ends=False)
            connection.data(stream, message(GOOD)[:sent], ends=False)
            await connection.flush()
            connection.reset(stream)
            await connection.flush()
        await connection.heard()
        assert await good(connection, service.admin_token) == "admin@localhost"
