"""What calls come in by where Envoy is in front: the ASGI application, and grpc.aio beside it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import grpc
import structlog

from keywright import __version__
from keywright.app.config import Config
from keywright.app.front.certificates import Renewing
from keywright.app.grpc_server import age_options, grpc_server, message_options
from keywright.app.health import Health
from keywright.app.mistakes import ConfigurationError, Mistake
from keywright.front.admin import Admin
from keywright.front.places import Places
from keywright.wire.asgi import Application
from keywright.wire.grpc import BY_THE_PROXY
from keywright.wire.rpc import Backend

# They have changed since the supervisor had them judged; Envoy would turn everybody away.
_REFUSED = "is refused by Envoy, which has said why"
_log = structlog.get_logger("keywright.server")


@dataclass(slots=True)
class EnvoyListener:
    """Opens Envoy's port by `serve`, which is given the application that Envoy is to ask."""

    places: Places
    serve: Callable[[Application], Awaitable[None]]
    config: Config
    backend: Backend
    health: Health
    _shares_port: bool  # as Envoy's configuration has it
    _server: grpc.aio.Server = field(init=False)
    _admin: Admin = field(init=False)
    _is_live: bool = False
    _renewing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._admin = Admin(self.places.admin)
        # Envoy's connections are no client's, but the streams on them end as those of clients do:
        # with a word that they may be opened again. What Envoy ends is reset.
        options = [
            *message_options(self.config),
            *age_options(self.config),
            # gRPC keeps a header that it could not parse ("grpc-timeout: soon") in the table of its
            # connection, and fails every later call that refers to its name there; that connection
            # is everybody's. So it tells Envoy to have none kept, which costs little on a socket.
            # Not the other way: gRPC's refusals would lack a word of that, and break a connection
            # on which one is the first answer (GOAWAY with COMPRESSION_ERROR).
            ("grpc.http2.hpack_table_size.decoder", 0),
        ]
        self._server = grpc_server(
            self.config, self.backend, self.health, options, peers=BY_THE_PROXY
        )

    def bind(self) -> str:
        """Take the private socket; the port is Envoy's to take. Returns where that is."""
        self._server.add_insecure_port(f"unix:{self.places.grpc_aio}")
        return str(self.config.listen)

    async def start(self, target: str) -> None:
        """Answer from now on, and wait until Envoy does.

        Raises:
            ConfigurationError: Envoy does not take the TLS files.
        """
        await self._server.start()
        await self.serve(Application(self.backend, certified=self.config.certifies_clients))
        await self._admin.is_live()
        self._is_live = True
        if self.config.tls:
            if not await self._admin.has_certificate():
                raise ConfigurationError([Mistake.of("tls_certificate_file", _REFUSED)])
            renewing = Renewing(self.config.tls.renewal(), self.places)
            self._renewing = asyncio.create_task(renewing.watch())
        _log.info("listening", listen=target, version=__version__)

    async def stop(self, grace: timedelta) -> None:
        """Take no more calls; end when Envoy has seen the last one off, or after so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace.total_seconds()
        if self._renewing:
            self._renewing.cancel()
        if self._is_live:
            await self._admin.drain(grace)
        await self._server.stop(max(0, end - loop.time()))
