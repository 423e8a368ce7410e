"""`Authenticate` through gRPC, beside a method that does nothing."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench import server
from bench.echo import PATH as ECHO
from bench.effort import Effort
from bench.keys import Admin, bearer
from bench.load import Call, Metadata, Slice, Summary, closed_loop, in_turn
from bench.server import Postgres, Server
from bench.table import microseconds, milliseconds, show
from keywright.v1 import auth_service_pb2 as pb

AUTHENTICATE = "/keywright.v1.AuthService/Authenticate"
IN_FLIGHT = (1, 32)
_TOKENS = 64


@dataclass(slots=True)
class Target:
    """One row: a load, and what its slices saw.

    Attributes:
        cpu: seconds of processor time of the server process, in total.
    """

    name: str
    server: Server
    call: Call
    in_flight: int
    cpu: float = 0
    slices: list[Slice] = field(default_factory=list)

    async def measure(self, seconds: float) -> None:
        """Add a slice."""
        cpu = self.server.cpu_seconds()
        self.slices.append(await closed_loop(self.call, in_flight=self.in_flight, seconds=seconds))
        self.cpu += self.server.cpu_seconds() - cpu

    @property
    def cpu_per_call(self) -> float:
        """Seconds of processor time of the server process."""
        return self.cpu / sum(len(each.latencies) for each in self.slices)


def requests(tokens: Sequence[str]) -> list[bytes]:
    """A request for each token."""
    return [pb.AuthenticateRequest(token=token).SerializeToString() for token in tokens]


def authenticate_call(
    to: Server, tokens: Sequence[str], caller: Metadata = ()
) -> Callable[[], Awaitable[bytes]]:
    """A call of `Authenticate` with the next of `tokens`."""
    return in_turn(to.channel, AUTHENTICATE, requests(tokens), caller)


async def take_turns(targets: Sequence[Target], effort: Effort) -> None:
    """Warm all targets up, then measure them in turn."""
    for target in targets:
        await closed_loop(
            target.call, in_flight=target.in_flight, seconds=min(0.3, effort.slice_seconds)
        )
    for _ in range(effort.rounds):
        for target in targets:
            await target.measure(effort.slice_seconds)


def show_targets(title: str, note: str, baseline: str, targets: Sequence[Target]) -> None:
    """Print a row for each target, with its ratio to the target called `baseline`."""
    summaries = [Summary.of(target.slices) for target in targets]
    bases = {
        target.in_flight: summary
        for target, summary in zip(targets, summaries, strict=True)
        if target.name == baseline
    }
    show(
        title,
        note,
        ("", "in flight", "calls/s", "p50 ms", "p99 ms", "p50 / baseline", "server CPU us/call"),
        [
            (
                target.name,
                str(target.in_flight),
                f"{summary.rate:,.0f}",
                milliseconds(summary.p50),
                milliseconds(summary.p99),
                f"{summary.p50 / bases[target.in_flight].p50:.2f}",
                microseconds(target.cpu_per_call),
            )
            for target, summary in zip(targets, summaries, strict=True)
        ],
    )


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
        "Authenticate, cold, beside a no-op",
        f"Nothing is cached. Requests of {len(request)} bytes, replies of {len(reply)}, one "
        "connection; the load generator is a process of its own on the same machine. The baseline "
        "is the no-op with as many calls in flight.",
        "no-op echo",
        targets,
    )
