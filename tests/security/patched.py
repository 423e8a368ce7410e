"""A build of the server with a planted bug: in this process, where a test can patch it.

A test of a guard is only as good as its failing where the guard is missing (DESIGN section 9).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from keywright.app.config import Config
from keywright.app.server import listening
from keywright.listening import TcpAddress
from tests.support.service import Service

AnyService = TypeVar("AnyService", bound=Service)


@asynccontextmanager
async def in_process(service: AnyService) -> AsyncIterator[AnyService]:
    """The same database and admin, served by this process as it is patched now.

    Its log is kept from being written: to print the trace of a planted fault takes longer than the
    server waits for its database.
    """
    config = Config(listen=TcpAddress("127.0.0.1", 0), metrics_listen=None, argon2_threads=1)
    with capture_logs():
        async with (
            listening(config, service.dsn) as server,
            grpc.aio.insecure_channel(server.target) as channel,
        ):
            patched = replace(service, uri=server.target, channel=channel)
            await patched.becomes(health_pb2.HealthCheckResponse.SERVING)
            yield patched
