"""What every client asks, and what it has to get: each case once, in protobuf's JSON.

In a request `<admin>`, `<narrow>` and `<revoked>` stand for tokens. What is expected of a reply or
a detail is a part of it: more may be there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grpc import StatusCode

JsonObject = dict[str, Any]

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"
BATCH = "/keywright.v1.AuthService/BatchAuthenticate"
STREAM = "/keywright.v1.AuthService/AuthenticateStream"
WATCH = "/keywright.v1.AuthService/Watch"
LIST_KEYS = "/keywright.v1.KeyService/ListKeys"
HEALTH = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
MOST_BYTES = 4 * 2**20
_TOKENS_OF_A_BATCH = 1_000
_TAG_AND_LENGTH_BYTES = 5
WORDS = "größer-als-100%-😀"

ADMIN = {"user": {"email": "admin@localhost"}, "permissions": ["*"], "wholeAuthority": True}
NARROW = {"user": {"email": "admin@localhost"}, "permissions": ["projects.read"]}


def error(reason: str, **metadata: str) -> JsonObject:
    """The ErrorInfo that every error carries."""
    info = {
        "reason": reason,
        "domain": "keywright.dev",
        **({"metadata": metadata} if metadata else {}),
    }
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}


def denial(reason: str, **more: Any) -> JsonObject:
    """The Denial that tells of a token beside it."""
    return {
        "@type": "type.googleapis.com/keywright.v1.Denial",
        "reason": f"ERROR_REASON_{reason}",
        **more,
    }


def denied(reason: str, code: int = 16) -> JsonObject:
    """A result that is a denial."""
    return {"denied": {"reason": f"ERROR_REASON_{reason}", "code": code}}


@dataclass(frozen=True)
class Case:
    """A call; `given` is what `Client.begin` takes beside its requests."""

    path: str
    requests: Sequence[JsonObject]
    replies: Sequence[JsonObject] = ()
    code: StatusCode = StatusCode.OK
    details: Sequence[JsonObject] = ()
    trailers: Sequence[tuple[str, str]] = ()
    given: JsonObject = field(default_factory=dict)


def _token_of(length: int) -> JsonObject:
    """A request of so many bytes, which has a token that is too long."""
    return {"token": "x" * (length - _TAG_AND_LENGTH_BYTES)}


CASES: dict[str, Case] = {
    "a good token": Case(AUTHENTICATE, [{"token": "<admin>"}], [ADMIN]),
    "a token with part of its user's authority": Case(
        AUTHENTICATE,
        [{"token": "<narrow>", "requiredPermissions": ["projects.read"]}],
        [{**NARROW, "scopes": ["projects.read"]}],
    ),
    "a denial": Case(
        AUTHENTICATE,
        [{"token": "<revoked>"}],
        code=StatusCode.UNAUTHENTICATED,
        details=[error("KEY_REVOKED"), denial("KEY_REVOKED", code=16)],
    ),
    "a denial that names what is missing": Case(
        AUTHENTICATE,
        [{"token": "<narrow>", "requiredPermissions": ["projects.read", "datasets.read"]}],
        code=StatusCode.PERMISSION_DENIED,
        details=[
            error("PERMISSION_MISSING", missing="datasets.read"),
            denial("PERMISSION_MISSING", code=7, missingPermissions=["datasets.read"]),
        ],
    ),
    "a caller without a credential": Case(
        AUTHENTICATE,
        [{"token": "<narrow>"}],
        code=StatusCode.FAILED_PRECONDITION,
        details=[error("CALLER_CREDENTIAL_MISSING")],
        given={"token": None},
    ),
    "a request of no bytes": Case(
        AUTHENTICATE,
        [{}],
        code=StatusCode.UNAUTHENTICATED,
        details=[error("TOKEN_MALFORMED"), denial("TOKEN_MALFORMED")],
    ),
    "a request as long as it may be": Case(
        AUTHENTICATE,
        [_token_of(MOST_BYTES)],
        code=StatusCode.UNAUTHENTICATED,
        details=[error("TOKEN_MALFORMED")],
    ),
    "a request of a byte too many": Case(
        AUTHENTICATE,
        [_token_of(MOST_BYTES + 1)],
        code=StatusCode.RESOURCE_EXHAUSTED,
        details=[error("REQUEST_TOO_LARGE", limit_bytes=str(MOST_BYTES))],
    ),
    "a request that is far too long": Case(
        AUTHENTICATE, [_token_of(3 * MOST_BYTES)], code=StatusCode.RESOURCE_EXHAUSTED
    ),
    "a batch": Case(
        BATCH,
        [{"requests": [{"token": each} for each in ("<admin>", "<revoked>", "none", "<narrow>")]}],
        [
            {
                "results": [
                    {"allowed": ADMIN},
                    denied("KEY_REVOKED"),
                    denied("TOKEN_MALFORMED"),
                    {"allowed": NARROW},
                ]
            }
        ],
    ),
    "a batch as long as it may be": Case(
        BATCH,
        [{"requests": [{"token": "<admin>"}] * _TOKENS_OF_A_BATCH}],
        [{"results": [{"allowed": ADMIN}] * _TOKENS_OF_A_BATCH}],
    ),
    "a batch of nothing": Case(
        BATCH, [{}], code=StatusCode.INVALID_ARGUMENT, details=[error("FIELD_INVALID")]
    ),
    "a stream": Case(
        STREAM,
        [{"request": {"token": each}} for each in ("<admin>", "none", "<narrow>")],
        [
            {"result": {"allowed": ADMIN}},
            {"result": denied("TOKEN_MALFORMED")},
            {"result": {"allowed": NARROW}},
        ],
    ),
    "a stream on which nothing is said": Case(STREAM, []),
    "a stream of a stranger": Case(
        STREAM,
        [{"request": {"token": "<admin>"}}],
        code=StatusCode.FAILED_PRECONDITION,
        details=[error("CALLER_CREDENTIAL_MISSING")],
        given={"token": None},
    ),
    "a field that breaks a rule": Case(
        LIST_KEYS,
        [{"parent": "workspaces/default", "pageSize": -1}],
        code=StatusCode.INVALID_ARGUMENT,
        details=[
            error("FIELD_INVALID"),
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "page_size"}],
            },
        ],
    ),
    "an error that repeats words which are not ASCII": Case(
        "/keywright.v1.UserService/GetUser",
        [{"name": f"workspaces/default/users/{WORDS}@example.com"}],
        code=StatusCode.NOT_FOUND,
        details=[
            error("RESOURCE_NOT_FOUND"),
            {"@type": "type.googleapis.com/google.rpc.ResourceInfo"},
        ],
    ),
    "the id of a call": Case(
        AUTHENTICATE,
        [{"token": "<admin>"}],
        [ADMIN],
        trailers=[("x-request-id", "as-given:2026-11-29.x")],
        given={"metadata": [("x-request-id", "as-given:2026-11-29.x")]},
    ),
    "the id of a call that is denied": Case(
        AUTHENTICATE,
        [{"token": "none"}],
        code=StatusCode.UNAUTHENTICATED,
        details=[
            error("TOKEN_MALFORMED"),
            {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "denied-call"},
        ],
        trailers=[("x-request-id", "denied-call")],
        given={"metadata": [("x-request-id", "denied-call")]},
    ),
    "metadata of all bytes, of words that are not ASCII, and of none": Case(
        AUTHENTICATE,
        [{"token": "<admin>"}],
        [ADMIN],
        given={
            "metadata": [
                ("x-every-byte-bin", bytes(range(256))),
                ("x-every-byte-bin", b""),
                ("x-words-bin", WORDS.encode()),
                ("x-punctuation", " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ,".strip()),
                ("x-long", "x" * 4000),
                *((f"x-many-{each}", str(each)) for each in range(200)),
            ]
        },
    ),
    "health": Case(HEALTH, [{}], [{"status": "SERVING"}], given={"token": None}),
    "health of a service that is not here": Case(
        HEALTH, [{"service": "keywright.v1.NoService"}], code=StatusCode.NOT_FOUND
    ),
    "reflection": Case(
        REFLECTION,
        [{"listServices": ""}, {"fileContainingSymbol": "no.such.Symbol"}],
        [{"listServicesResponse": {}}, {"errorResponse": {"errorCode": 5}}],
    ),
    "a method that is not there": Case(
        "/keywright.v1.AuthService/Authorise",
        [{}],
        code=StatusCode.UNIMPLEMENTED,
        details=[error("METHOD_UNIMPLEMENTED")],
    ),
    "a service that is not there": Case(
        "/keywright.v0.AuthService/Authenticate",
        [{}],
        code=StatusCode.UNIMPLEMENTED,
        details=[error("METHOD_UNIMPLEMENTED")],
    ),
}


def covers(found: Any, expected: Any) -> bool:
    """Whether all that is expected has been found; a list has as many as are expected of it."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and covers(found[name], value) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(map(covers, found, expected))
        )
    return bool(found == expected)
