"""`Authenticate` as a call of bytes."""

from collections.abc import Awaitable, Callable, Sequence

from bench.load import Metadata, in_turn
from bench.server import Server
from keywright.v1 import auth_service_pb2 as pb

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"


def request(token: str) -> bytes:
    """A request for a token."""
    return pb.AuthenticateRequest(token=token).SerializeToString()


def authenticate_call(
    to: Server, tokens: Sequence[str], caller: Metadata = ()
) -> Callable[[], Awaitable[bytes]]:
    """A call of `Authenticate` with the next of `tokens`."""
    return in_turn(to.channel, AUTHENTICATE, list(map(request, tokens)), caller)
