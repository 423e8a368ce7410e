"""What can answer at the port, and in what the two differ that a client may see."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from grpc import StatusCode

from tests.clients.cases import AUTHENTICATE


@dataclass(frozen=True)
class Front:
    """One of them.

    Attributes:
        name: as the setting `front` has it.
        refuses_some: whether calls of a client that keeps to the limit of its connection may be
            refused (REFUSED_STREAM) before anybody has looked at them.
        gzip: what comes of a compressed request for `Authenticate` whose token is no token.
        spoils: the malformed calls after which it answers no others on their connection.
        deviations: what it says of a malformed call (`test_malformed_frames`) beside, or in place
            of, what the specification has.
        behind: who answers the methods that it does not answer itself.
    """

    name: str
    refuses_some: bool
    gzip: StatusCode
    spoils: AbstractSet[str] = frozenset()
    deviations: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    behind: "Front | None" = None

    def deviations_from(self, malformed: str, path: str) -> AbstractSet[str]:
        """What may be said of a malformed call of a method beside what the specification has."""
        deviations = self.deviations.get(malformed, frozenset())
        if self.behind is None or path == AUTHENTICATE:
            return deviations
        # So a reset is told from whom others hide.
        return deviations | self.behind.deviations_from(malformed, path) | {"UNAVAILABLE"}

    def __str__(self) -> str:
        return self.name


_UNCHECKED = {"answered"}
_NO_JSON = {"HTTP 400"}
_UNTIL_ITS_DEADLINE = {"DEADLINE_EXCEEDED", "CANCELLED", "reset"}
GRPC = Front(
    "grpc",
    # gRPC counts a call that was denied for a moment longer than its client does; that is what
    # bounds a rapid reset.
    refuses_some=True,
    # It would inflate a message in one go, whatever becomes of it.
    gzip=StatusCode.UNIMPLEMENTED,
    # It keeps what it could not parse in the connection's table of headers (HPACK), and fails
    # whatever refers to that.
    spoils={
        "another te",
        "an encoding that nobody knows",
        "a time that is none",
        "bytes that are not base64",
        "bytes, two together",
    },
    deviations={
        # grpc.aio takes a request without a message for one that was cancelled, and says no more:
        # the client's deadline ends it, or its going, or the age of the connection.
        "a prefix that promises more than comes": _UNTIL_ITS_DEADLINE,
        "a prefix that promises all there can be": _UNTIL_ITS_DEADLINE,
        "a prefix that is cut short": _UNTIL_ITS_DEADLINE,
        "a prefix and nothing after it": _UNTIL_ITS_DEADLINE,
        "no message": _UNTIL_ITS_DEADLINE,
        "a frame of no bytes": _UNTIL_ITS_DEADLINE,
        # It looks at the first message, and no further.
        "a prefix that promises less than comes": {"INVALID_ARGUMENT", *_UNCHECKED},
        # It leaves the flag to us (nothing is inflated) and does not tell us of it: compressed or
        # not, the bytes are taken as they are.
        "a flag that says compressed, and no encoding": _UNCHECKED,
        # It takes the message for an empty one, which every method refuses that changes anything.
        "a flag that nobody knows": _UNCHECKED,
        "an encoding that nobody knows": {"reset"},
        # It looks at none of these.
        "no content type": _UNCHECKED,
        "another content type": _UNCHECKED,
        "a content type that begins like gRPC's": _UNCHECKED,
        "a value with a line break": _UNCHECKED,
        # It knows no values that are joined.
        "bytes, two together": {"reset"},
    },
)
ENVOY = Front(
    "envoy",
    refuses_some=False,
    gzip=StatusCode.UNAUTHENTICATED,
    deviations={
        # What does not say that it is gRPC is read as JSON.
        "no content type": _NO_JSON,
        "another content type": _NO_JSON,
        "a content type that begins like gRPC's": _NO_JSON,
    },
    behind=GRPC,
)
FRONTS = [GRPC, ENVOY]
