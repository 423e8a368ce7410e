"""The server of grpc.aio: what it serves, and what a connection to it may do."""

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection

from keywright import __version__
from keywright.app import descriptors
from keywright.app.config import Config
from keywright.app.health import Health
from keywright.app.listen import in_use
from keywright.listening import TcpAddress
from keywright.wire.contract import services
from keywright.wire.grpc import OF_THE_CONNECTION, Peers, Transport
from keywright.wire.rpc import Backend

_log = structlog.get_logger("keywright.server")
_UNCOMPRESSED_ONLY = 1  # bit 0 of grpc_compression_algorithm: identity
Options = list[tuple[str, int]]


@dataclass(slots=True)
class GrpcListener:
    """Listens as the configuration says; `shares_port` with other workers."""

    config: Config
    backend: Backend
    health: Health
    shares_port: bool
    server: grpc.aio.Server = field(init=False)

    def __post_init__(self) -> None:
        options = connection_options(self.config, shares_port=self.shares_port)
        self.server = grpc_server(self.config, self.backend, self.health, options)

    def bind(self) -> str:
        """Take the address; returns what a client on this machine connects to.

        Raises:
            ListenError: it is in use, or not one of this machine.
        """
        listen = self.config.listen
        credentials = self.config.tls.server_credentials() if self.config.tls else None
        try:
            port = (
                self.server.add_secure_port(str(listen), credentials)
                if credentials
                else self.server.add_insecure_port(str(listen))
            )
        except RuntimeError as error:
            raise in_use(listen) from error
        return str(TcpAddress(listen.host, port) if isinstance(listen, TcpAddress) else listen)

    async def start(self, target: str) -> None:
        """Answer from now on."""
        await self.server.start()
        _log.info("listening", listen=target, version=__version__)

    async def stop(self, grace: timedelta) -> None:
        """Take no more calls, and end when the last one has, or after so long."""
        await self.server.stop(grace.total_seconds())


def grpc_server(
    config: Config,
    backend: Backend,
    health: Health,
    options: Options,
    peers: Peers = OF_THE_CONNECTION,
) -> grpc.aio.Server:
    """A server of all services, which listens nowhere yet."""
    server = grpc.aio.server(options=options)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if config.reflection:
        names = [*(service.full_name for service in services()), HEALTH, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, cast("grpc.Server", server))
    # Last, because it answers for every method that no other handler knows.
    server.add_generic_rpc_handlers((Transport(backend, peers),))
    return server


def message_options(config: Config) -> Options:
    """What a message may be (grpc/impl/channel_arg_names.h)."""
    return [
        # gRPC refuses what is longer without a word of ours, so `validation` has the real limit.
        ("grpc.max_receive_message_length", 2 * config.max_request_bytes),
        ("grpc.max_send_message_length", config.max_response_bytes),
        ("grpc.max_metadata_size", config.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", config.max_metadata_bytes),
        # gRPC limits a message by what came over the wire, and inflates it in one go: 8 KiB become
        # 8 MiB, and the longest request 8 GiB. So nothing is inflated; the first argument tells
        # clients so (UNIMPLEMENTED), the second holds before the first has been noticed.
        ("grpc.compression_enabled_algorithms_bitset", _UNCOMPRESSED_ONLY),
        ("grpc.per_message_decompression", 0),
    ]


def connection_options(config: Config, *, shares_port: bool) -> Options:
    """What a connection may do, and its messages; times in milliseconds."""
    return [
        *message_options(config),
        # Two servers on one port would share it silently: a port in use is a mistake to be told.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_allowed_incoming_connections", descriptors.connections(config)),
        # Also the bound of a rapid reset (CVE-2023-44487): gRPC counts a reset stream until
        # its work is undone, and refuses what is more before Python sees it. 40 connections that
        # reset 1000 calls each held others up for 4 s and took 450 MiB; with 100, a tenth of that.
        ("grpc.max_concurrent_streams", config.max_concurrent_streams),
        ("grpc.keepalive_time_ms", _milliseconds(config.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(config.keepalive_timeout)),
        # Of every PING, not of keepalive's only: a client that goes right after it has spoken
        # leaves one unanswered that measures the line, and keepalive waits for that a minute.
        ("grpc.http2.ping_timeout_ms", _milliseconds(config.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients may ping as often as they like, which costs 0.1 us each. A gRPC that counts them
        # reads on what has arrived of a flood, and keeps each PING of it as an error of 4 KiB: of
        # 13 MiB of PINGs came 3.6 GiB and 10 s of processor time.
        ("grpc.http2.max_ping_strikes", 0),
        # From the first byte to the client's SETTINGS, with TLS between: a slow preface ends here.
        ("grpc.server_handshake_timeout_ms", _milliseconds(config.handshake_timeout)),
        ("grpc.max_connection_idle_ms", _milliseconds(config.max_connection_idle)),
        *age_options(config),
    ]


def age_options(config: Config) -> Options:
    """How long a connection lives, and then the calls on it, which end with UNAVAILABLE."""
    return [
        ("grpc.max_connection_age_ms", _milliseconds(config.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(config.max_connection_age_grace)),
    ]


def _milliseconds(value: timedelta) -> int:
    return math.ceil(value / timedelta(milliseconds=1))
