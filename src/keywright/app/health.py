"""The standard health service (grpc.health.v1), which follows the database.

Not the one of grpcio-health-checking: that one holds a lock while it writes to a watcher, so that
a watcher which does not read would keep everybody from being told, and its open watches keep a
stopping server waiting until the grace is over.
"""

import asyncio
from collections.abc import Callable, Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Request = health_pb2.HealthCheckRequest
_Response = health_pb2.HealthCheckResponse
_Context = grpc.aio.ServicerContext[_Request, _Response]


class Health(health_pb2_grpc.HealthServicer):
    """One state for all `services`; the empty name stands for the whole server.

    `told` are called with every state.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(services) | {""}
        self._serving = False
        self._closing = False
        self._changed = asyncio.Event()
        self.told: list[Callable[[bool], None]] = []

    @property
    def serving(self) -> bool:
        """Whether calls can be answered, as it was told last."""
        return self._serving and not self._closing

    def tell(self, *, serving: bool) -> None:
        """Say whether calls can be answered."""
        self._serving = serving
        self._announce()

    def close(self) -> None:
        """Say NOT_SERVING for the last time, whatever is told later, and end every watch."""
        self._closing = True
        self._announce()

    async def Check(self, request: _Request, context: _Context) -> _Response:  # noqa: N802
        """Say the state now; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            # Not by `abort`, which would leave the call in memory (`wire.grpc.leaving_nothing`).
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("there is no such service here")
        return _Response(status=self._status())

    async def Watch(self, request: _Request, context: _Context) -> None:  # noqa: N802
        """Say the state now and at every change, until the server stops."""
        known = request.service in self._services
        told = None
        while True:
            changed, closing = self._changed, self._closing
            status = self._status() if known else _Response.SERVICE_UNKNOWN
            if status != told:
                await context.write(_Response(status=status))
                told = status
            if closing:
                return
            await changed.wait()

    def _status(self) -> int:
        return _Response.SERVING if self.serving else _Response.NOT_SERVING

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for tell in self.told:
            tell(self.serving)
