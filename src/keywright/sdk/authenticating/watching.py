"""Keeps a leased cache under its lease: the stream `AuthService.Watch`, for as long as it takes."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc

from keywright.sdk.authenticating.leased_cache import LeasedCache
from keywright.sdk.connection.status import from_call
from keywright.sdk.errors import Internal, KeywrightError, Unavailable
from keywright.v1 import auth_service_pb2 as pb

_PATH = "/keywright.v1.AuthService/Watch"
_NANOSECONDS = 1_000_000_000
# How long until a lease is renewed: a third of what was granted last, within these.
_FIRST_PACE_SECONDS = 0.3
_PACE_MIN_SECONDS = 0.05
_PACE_MAX_SECONDS = 20.0
# How long until a stream that has ended is begun again: anything up to twice the last time's most.
_PAUSE_MIN_SECONDS = 0.1
_PAUSE_MAX_SECONDS = 10.0
# How much later than a lease is asked for its answer may be. Then another server may do better.
_SILENCE_MAX_SECONDS = 5.0

Metadata = Sequence[tuple[str, str]]


class Watch:
    """How watching goes.

    Attributes:
        leased: set while a stream grants leases; the cache itself knows whether one holds now.
        trouble: why the last stream ended; None once one has granted a lease since.
    """

    def __init__(
        self, channel: grpc.aio.Channel, cache: LeasedCache, metadata: Metadata, server: str
    ) -> None:
        self._open = channel.stream_stream(
            _PATH,
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        self._cache = cache
        self._metadata = grpc.aio.Metadata(*metadata)
        self._server = server
        self._pace = _FIRST_PACE_SECONDS
        self._due = asyncio.Event()
        self.leased = asyncio.Event()
        self.trouble: KeywrightError | None = None

    async def run(self) -> None:
        """Watch for ever: whatever ends a stream, another is begun."""
        pause = _PAUSE_MIN_SECONDS
        while True:
            try:
                await self._stream()
                trouble: KeywrightError = Unavailable(f"the stream ended (from {self._server})")
            except grpc.aio.AioRpcError as error:
                trouble = from_call(error, self._server)
                if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                    # It does not know the revision: its database is another one than before.
                    self._cache.abandon()
            except TimeoutError:
                trouble = Unavailable(f"no answer in time (from {self._server})")
            except Exception as error:  # noqa: BLE001  whatever it is, nobody else gets a lease
                trouble = Internal(f"{type(error).__name__} while watching (from {self._server})")
            # A stream that fails in the turn in which this is cancelled hides that.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError
            # Many clients lose a server at the same moment: they come back one by one.
            pause = _PAUSE_MIN_SECONDS if self.trouble is None else pause
            self.trouble = trouble
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  no secret
            pause = min(2 * pause, _PAUSE_MAX_SECONDS)

    async def _stream(self) -> None:
        """One stream, until it ends.

        Raises:
            grpc.aio.AioRpcError: it ended in another way than by the server's own will.
            TimeoutError: the server is silent.
        """
        call = self._open(metadata=self._metadata)
        writing = asyncio.create_task(self._write(call))
        was_lost = False
        try:
            while (message := await self._read(call)) is not grpc.aio.EOF:
                self._apply(message)
            was_lost = True
        except TimeoutError:
            was_lost = True
            raise
        except grpc.aio.AioRpcError as error:
            # Any other code says that this client may not, or should not, go on.
            was_lost = error.code() is grpc.StatusCode.UNAVAILABLE
            raise
        finally:
            self._cache.ended(was_lost=was_lost)
            self.leased.clear()
            call.cancel()
            writing.cancel()
            await asyncio.wait([writing])

    async def _read(self, call: Any) -> Any:
        async with asyncio.timeout(self._pace + _SILENCE_MAX_SECONDS):
            return await call.read()

    def _apply(self, message: Any) -> None:
        if self._cache.receive(message):
            self._due.set()
        if message.HasField("lease"):
            third = message.lease.ToNanoseconds() / _NANOSECONDS / 3
            self._pace = min(max(third, _PACE_MIN_SECONDS), _PACE_MAX_SECONDS)
        if self._cache.leased:
            self.leased.set()
            self.trouble = None

    async def _write(self, call: Any) -> None:
        """Ask for a lease, again and again: at once when the server waits for it."""
        # Whoever reads is told why the stream ended.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                self._due.clear()
                await call.write(self._cache.request())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), self._pace)


@asynccontextmanager
async def watching(
    channel: grpc.aio.Channel,
    cache: LeasedCache,
    metadata: Metadata = (),
    *,
    server: str = "the server",
) -> AsyncIterator[Watch]:
    """Keep `cache` leased while the block runs; only one may watch for it.

    Args:
        channel: to the server; it outlives the block.
        cache: what to keep true.
        metadata: of the calls, with the caller's credential.
        server: what it is called in errors.
    """
    watch = Watch(channel, cache, metadata, server)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait([running])
        cache.ended()  # also if the last stream was lost, and its lease would go on
        if not running.cancelled():
            running.result()  # it never ends by itself: a fault is not kept quiet
