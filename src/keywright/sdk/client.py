"""The synchronous client, and the one for asyncio."""

from datetime import timedelta
from types import TracebackType
from typing import Self

from keywright.sdk.calls.facade import Facade
from keywright.sdk.connection.connection import Way
from keywright.sdk.connection.credentials import Secret
from keywright.sdk.connection.flow import Awaiting, Blocking
from keywright.sdk.connection.transport import AwaitingTransport, BlockingTransport


class Client(Facade[Blocking]):
    """A client of a keywright server; use it as a context manager, or call `close`.

    Every call has a deadline and raises `KeywrightError` (keywright.sdk.errors draws the tree).
    Threads may share a client. It connects with the first call.

        with Client() as client:
            for key in client.keys.list(user="ann@acme.example"):
                print(key.id, client.keys.get(key.name).last_used_time)
    """

    def _connect(self, way: Way, api_key: Secret, timeout: timedelta) -> BlockingTransport:
        self._blocking = BlockingTransport(way, api_key, timeout)
        return self._blocking

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._blocking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(Facade[Awaiting]):
    """The same for asyncio: every call is awaited, and every list iterated over by `async for`.

    It may be made before the event loop runs, and belongs to the one in which it is used first.

        async with AsyncClient() as client:
            async for key in client.keys.list(user="ann@acme.example"):
                print(key.id, (await client.keys.get(key.name)).last_used_time)
    """

    def _connect(self, way: Way, api_key: Secret, timeout: timedelta) -> AwaitingTransport:
        self._awaiting = AwaitingTransport(way, api_key, timeout)
        return self._awaiting

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        await self._awaiting.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
