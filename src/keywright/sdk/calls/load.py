"""Load for an installation: `Authenticate` of one token, beside a call that does nothing.

The no-op is the installation's own: `Check` of gRPC's health service
(https://github.com/grpc/grpc/blob/master/doc/health-checking.md), which takes the same way through
network, proxies and server, and asks neither the cache nor the database.
"""

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc

from keywright.sdk.calls.authentication import authenticate
from keywright.sdk.connection.connection import TlsFiles, Way
from keywright.sdk.connection.credentials import Secret, find_api_key, find_uri
from keywright.sdk.connection.status import from_call
from keywright.sdk.errors import KeywrightError

NO_OP = "no-op"
AUTHENTICATE = "Authenticate"
_NO_OP_PATH = "/grpc.health.v1.Health/Check"
_NO_OP_REQUEST = b""  # a HealthCheckRequest about the whole server
_TIMEOUT_SECONDS = 10.0
_CALLS_PER_CONNECTION = 32
_SLICE_SECONDS = 0.5
# Channels with the same arguments share a connection, unless told otherwise.
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@dataclass(slots=True)
class Seen:
    """What was seen of one call with so many in flight.

    Attributes:
        call: `NO_OP` or `AUTHENTICATE`.
        seconds: how long it was under load.
        latencies: seconds, of each call that was answered OK.
        errors: how many were not, by reason, or by gRPC code where there is none.
    """

    call: str
    in_flight: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Calls a second that were answered OK."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> timedelta | None:
        """What this share of the calls that were answered OK did not exceed; None without any."""
        if not self.latencies:
            return None
        rank = max(0, math.ceil(share * len(self.latencies)) - 1)
        return timedelta(seconds=sorted(self.latencies)[rank])


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load saw.

    Attributes:
        seen: for each number of calls in flight the no-op, then `Authenticate`.
        own_core_share: how much of a core this process used meanwhile: near 1 it is what is slow.
    """

    seen: Sequence[Seen]
    own_core_share: float


@dataclass(frozen=True, slots=True)
class _Method:
    call: str
    path: str
    request: bytes = field(repr=False)  # it may hold a token


class Load:
    """Loads a server; arguments and environment as for `Client`.

    Raises:
        ConfigurationError: an argument is missing or wrong.
    """

    def __init__(
        self,
        uri: str | None = None,
        api_key: str | Secret | None = None,
        *,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        self._uri = find_uri(uri, os.environ)
        self._api_key = find_api_key(api_key, os.environ)
        tls_files = TlsFiles(ca_file, certificate_file, key_file)
        self._way = Way.find(self._uri, tls_files, os.environ, allow_plaintext=allow_plaintext)
        self._metadata = (("authorization", f"Bearer {self._api_key.reveal()}"),)

    def run(
        self, token: str | None, *, duration: timedelta, in_flight: Sequence[int]
    ) -> LoadResult:
        """Load the server for so long with each number of calls in flight.

        Both calls take turns, in slices of about half a second. What fails under load is counted.

        Args:
            token: the token to ask about; None: this caller's own.
            duration: of both calls together, with each number in flight.
            in_flight: how many calls are under way at a time, over a connection for 32 each.

        Raises:
            KeywrightError: one call of each, before there is any load, was not answered OK.
        """
        return asyncio.run(self._run(token, duration.total_seconds(), in_flight))

    async def _run(self, token: str | None, seconds: float, in_flight: Sequence[int]) -> LoadResult:
        flow = authenticate(self._api_key.reveal() if token is None else token)
        asked = next(flow)  # the only call of this flow
        methods = (
            _Method(NO_OP, _NO_OP_PATH, _NO_OP_REQUEST),
            _Method(AUTHENTICATE, asked.method.path, asked.request.SerializeToString()),
        )
        seen: list[Seen] = []
        began, used = time.monotonic(), time.process_time()
        async with AsyncExitStack() as open_:
            channels = [
                await open_.enter_async_context(self._channel())
                for _ in range(math.ceil(max(in_flight) / _CALLS_PER_CONNECTION))
            ]
            for channel in channels:
                for method in methods:
                    await self._check(channel, method)
            for count in in_flight:
                seen += await self._take_turns(channels, methods, count, seconds)
        share = (time.process_time() - used) / (time.monotonic() - began)
        return LoadResult(seen, share)

    def _channel(self) -> grpc.aio.Channel:
        return self._way.async_channel(_OWN_CONNECTION)

    async def _check(self, channel: grpc.aio.Channel, method: _Method) -> None:
        error = await self._call(channel, method)
        if error is not None:
            raise error

    async def _take_turns(
        self,
        channels: Sequence[grpc.aio.Channel],
        methods: Sequence[_Method],
        in_flight: int,
        seconds: float,
    ) -> Sequence[Seen]:
        seen = [Seen(method.call, in_flight) for method in methods]
        rounds = math.ceil(seconds / len(methods) / _SLICE_SECONDS)
        for _ in range(rounds):
            for method, each in zip(methods, seen, strict=True):
                await self._slice(channels, method, each, seconds / len(methods) / rounds)
        return seen

    async def _slice(
        self, channels: Sequence[grpc.aio.Channel], method: _Method, seen: Seen, seconds: float
    ) -> None:
        began = time.perf_counter()
        end = began + seconds

        async def one_after_another(channel: grpc.aio.Channel) -> None:
            while (start := time.perf_counter()) < end:
                error = await self._call(channel, method)
                if error is None:
                    seen.latencies.append(time.perf_counter() - start)
                else:
                    seen.errors[error.reason] += 1

        async with asyncio.TaskGroup() as tasks:
            for number in range(seen.in_flight):
                channel = channels[number // _CALLS_PER_CONNECTION]
                tasks.create_task(one_after_another(channel))
        seen.seconds += time.perf_counter() - began

    async def _call(self, channel: grpc.aio.Channel, method: _Method) -> KeywrightError | None:
        """Call once, bytes both ways; returns what went wrong."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method.path)
        try:
            await call(method.request, metadata=self._metadata, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            return from_call(error, self._uri)
        return None
