"""`Authenticate` through gRPC, beside a method that does nothing."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from bench import server
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import Metadata, in_turn
from bench.server import Postgres, Server
from bench.target import IN_FLIGHT, Target, show_targets, take_turns
from keywright.v1 import auth_service_pb2 as pb

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"
_TOKENS = 64


def requests(tokens: Sequence[str]) -> list[bytes]:
    """A request for each token."""
    return [pb.AuthenticateRequest(token=token).SerializeToString() for token in tokens]


def authenticate_call(
    to: Server, tokens: Sequence[str], caller: Metadata = ()
) -> Callable[[], Awaitable[bytes]]:
    """A call of `Authenticate` with the next of `tokens`."""
    return in_turn(to.channel, AUTHENTICATE, requests(tokens), caller)


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table.

    `any`: the server asks no credential of its callers, so a call is one look-up and one verify.
    The others prove the caller, too.
    """
    dsn, admin_token = await postgres.database("authenticate")
    async with AsyncExitStack() as running:
        default = await running.enter_async_context(server.keywright(dsn))
        trusting = await running.enter_async_context(
            server.keywright(dsn, authenticate_callers="any")
        )
        admin = Admin(default.channel, admin_token)
        tokens = await admin.tokens(_TOKENS)
        own = tokens[0]
        sidecar = await admin.key(await admin.service_user("sidecar", "authenticator"))
        request = requests([own])[0]
        reply = await authenticate_call(trusting, tokens)()
        echo = await running.enter_async_context(server.echo(len(reply)))
        calls = (
            ("no-op echo", echo, in_turn(echo.channel, ECHO, [request], bearer(sidecar))),
            ("Authenticate, callers: any", trusting, authenticate_call(trusting, tokens)),
            (
                "Authenticate, own token",
                default,
                authenticate_call(default, [own], bearer(own)),
            ),
            (
                "Authenticate, another's token",
                default,
                authenticate_call(default, tokens, bearer(sidecar)),
            ),
        )
        targets = [
            Target(name, at, call, in_flight) for in_flight in IN_FLIGHT for name, at, call in calls
        ]
        await take_turns(targets, effort)
    show_targets(
        "Authenticate, from the database, beside a no-op",
        "Every call looks the key up in the database, and its caller's; that the secrets go with "
        "their hashes was proven at their first use. "
        f"Requests of {len(request)} bytes, replies of {len(reply)}, one connection; the load "
        "generator is a process of its own on the same machine. The baseline is the no-op with as "
        "many calls in flight.",
        "no-op echo",
        targets,
    )
