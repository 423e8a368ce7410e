"""Client caches under a lease: as a program has them, and with their network in the test's hand."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc

from keywright.sdk import errors
from keywright.sdk.authenticating.authenticator import Authenticator
from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.v1 import auth_service_pb2 as pb
from tests.consistency.carriers import PATIENCE_SECONDS, Carrier
from tests.consistency.history import Decision, Lane, Outcome

# How often a client that has nothing to tell renews its lease.
_PACE_SECONDS = 0.05
_DENIALS = (errors.Unauthenticated, errors.PermissionDenied)


class Watcher(Carrier):
    """An `Authenticator`: what it knows it answers itself, under its lease.

    Its answers do not tell the position they were given at.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        patience = timedelta(seconds=PATIENCE_SECONDS)
        self._authenticator = Authenticator(
            self._target, self._token, timeout=patience, rate_limits=False
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        async with self._authenticator:
            async with asyncio.timeout(30):
                await self._authenticator.leased()
            yield

    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        invoked = time.monotonic()
        try:
            await self._authenticator.authenticate(
                request.token,
                resource=request.resource,
                require=list(request.required_permissions),
                client_address=request.client_address,
            )
        except errors.KeywrightError as error:
            outcome = Outcome.DENIED if isinstance(error, _DENIALS) else Outcome.UNDECIDED
            reason = error.reason or str(error)
            return Decision(self.lane, invoked, time.monotonic(), outcome, reason)
        return Decision(self.lane, invoked, time.monotonic(), Outcome.ALLOWED)

    def at_once(self, request: pb.AuthenticateRequest) -> Decision | None:
        invoked = time.monotonic()
        known = self._authenticator.recall(
            request.token,
            request.resource,
            request.required_permissions,
            client_address=request.client_address,
        )
        return None if known is None else _allowed(self.lane, invoked)


def _allowed(lane: Lane, invoked: float) -> Decision:
    return Decision(lane, invoked, time.monotonic(), Outcome.ALLOWED)


def from_memory(lane: Lane, cache: Any, request: pb.AuthenticateRequest) -> Decision | None:
    """What a cache answers without asking; None if it would ask."""
    invoked = time.monotonic()
    if cache.get(_key(cache, request)) is None:
        return None
    return _allowed(lane, invoked)


def _key(cache: Any, request: pb.AuthenticateRequest) -> Any:
    return cache.key_of(request.token, request.resource, request.required_permissions)


class WatchByHand(Carrier):
    """A cache whose messages the test carries to and fro.

    What it does not carry is under way on a network that is slow, or broken at one end. The cache
    is the SDK's, unless that of a patched SDK is given to `begin`.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._authenticate = self._method("unary_unary", "Authenticate")
        self._watch = self._method("stream_stream", "Watch")
        self.cache: Any = None
        self._call: Any = None

    async def begin(self, cache: Any = None) -> None:
        """Open the stream and carry messages until there is a lease."""
        self.cache = LeasedCache() if cache is None else cache
        self._call = self._watch(metadata=self._metadata)
        async with asyncio.timeout(30):
            while not self.cache.leased:
                await self.carry()

    async def leased(self) -> None:
        """Wait, while messages are being carried, until there is a lease."""
        async with asyncio.timeout(30):
            while not self.cache.leased:  # noqa: ASYNC110  a cache tells nobody
                await asyncio.sleep(_PACE_SECONDS)

    async def carry(self) -> None:
        """One request there, and what comes back."""
        await self._call.write(self.cache.request())
        message = await self._call.read()
        assert message is not grpc.aio.EOF, "the stream has ended"
        self.cache.receive(message)

    @asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Carry without end while the block runs, as a program does."""

        async def keep_carrying() -> None:
            while True:
                await self.carry()
                await asyncio.sleep(_PACE_SECONDS)

        task = asyncio.create_task(keep_carrying())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    def break_off(self) -> None:
        """Only the server learns that the stream is over: the cache waits for what never comes."""
        self._call.cancel()

    async def ask(self, request: pb.AuthenticateRequest) -> pb.AuthenticateResponse:
        """The server's answer, which the cache has yet to be given."""
        return await self._authenticate(request, metadata=self._metadata, timeout=PATIENCE_SECONDS)

    def put(self, request: pb.AuthenticateRequest, answer: pb.AuthenticateResponse) -> None:
        """Give it to the cache, which may refuse it."""
        self.cache.put(_key(self.cache, request), answer)

    async def decide(self, request: pb.AuthenticateRequest) -> Decision:
        """What the cache answers, which must be something by now: it is asked before."""
        decision = self.at_once(request)
        assert decision is not None, "the cache does not have it"
        return decision

    def at_once(self, request: pb.AuthenticateRequest) -> Decision | None:
        return from_memory(self.lane, self.cache, request)
