"""The same load over a thousand connections, beside two.

Measured is `Authenticate` of what the server remembers: each of the many connections has one call
in flight, each of the two as many as gRPC's clients have.
"""

from dataclasses import replace

from bench import cores, server
from bench.authenticate import AUTHENTICATE, request
from bench.effort import Effort
from bench.hot_call import HotCall, Row, show_beside_first, take_turns
from bench.keys import Admin, bearer
from bench.server import Postgres

_FEW = 2
_STREAMS = 64  # a server takes 100 on a connection (`max_concurrent_streams`)
_AIM = 0.8
_SLICES = 4  # so long is one: a thousand connections take half a second to be made


async def run(postgres: Postgres, effort: Effort) -> None:
    """Print the table."""
    dsn, admin_token = await postgres.database("connections")
    many = effort.connections
    async with server.keywright(dsn, core=cores.SERVER) as at:
        admin = Admin(at.channel, admin_token)
        (token,) = await admin.tokens(1)
        sidecar = bearer(await admin.key(await admin.service_user("sidecar", "authenticator")))
        rows = [
            Row(
                HotCall(
                    f"{connections:,} connections",
                    at,
                    AUTHENTICATE,
                    [request(token)],
                    sidecar,
                    connections=connections,
                ),
                min(many, _STREAMS * connections),
            )
            for connections in (_FEW, many)
        ]
        await take_turns(rows, replace(effort, slice_seconds=_SLICES * effort.slice_seconds))
    show_beside_first(
        "Authenticate, warm, by the number of connections",
        f"{_FEW} connections of {_STREAMS} calls in flight, or {many:,} of one. All are made anew "
        f"for each slice of {_SLICES * effort.slice_seconds:g} s, which is part of the figures. "
        f"The aim is {_AIM} of the first row's calls/s.",
        rows,
    )
