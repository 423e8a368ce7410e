"""What streams have in common: they end when their caller's credential falls, or the server stops.

A call is over in a moment, and a stream may last for weeks. So the caller is looked at again
whenever something is asked of it, and now and then where nothing is; and a server that stops does
not wait for those that are open.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from keywright.domain.errors import Denied, Reason, Unavailable
from keywright.service.known import Caller
from keywright.service.replica.lease import not_leased
from keywright.wire.interceptors.caller import of_caller, own_token
from keywright.wire.rpc import Rpc, Services, Stream

_LOOKS_A_LEASE = 3


async def until_first(*activities: Coroutine[Any, Any, None]) -> None:
    """Run all at the same time until the first of them ends, and end the others then.

    Raises: what that one raised.
    """
    tasks = [asyncio.create_task(each) for each in activities]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in ended:
            each.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class Open:
    """An open stream, and who is at its other end.

    `services` are kept for its life: what is remembered may be answered while the database is out
    of reach, for as long as the lease lasts.
    """

    rpc: Rpc
    stream: Stream = field(init=False)
    services: Services = field(init=False)
    bearer: str = field(init=False)

    def __post_init__(self) -> None:
        assert self.rpc.stream is not None, "the method streams"  # noqa: S101
        self.stream, self.services = self.rpc.stream, self.rpc.memory
        self.bearer = own_token(self.rpc)

    async def caller(self, *, calls: bool = True) -> Caller | None:
        """Who asks, as of this moment; None where an installation admits anybody.

        `calls` is False where nothing is asked.

        Raises:
            ServiceError: CALLER_CREDENTIAL_INVALID: it does not stand any more.
            Unavailable: that cannot be found out within a lease's length.
        """
        if self.rpc.asker is None:
            return None
        authenticate = self.services.authenticate
        known = authenticate.recall_caller(self.bearer, self.rpc.peer, calls=calls)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(authenticate.lease.length.total_seconds()):
                return await authenticate.asking(self.bearer, self.rpc.peer)
        except TimeoutError:
            raise not_leased() from None
        except Denied as denied:
            raise of_caller(self.rpc, denied) from None

    async def falls(self) -> None:
        """Wait until the caller's credential does not stand any more.

        Raises: as `caller`.
        """
        length = self.services.authenticate.lease.length.total_seconds()
        while True:
            await asyncio.sleep(length / _LOOKS_A_LEASE)
            await self.caller(calls=False)

    async def server_stops(self) -> None:
        """Wait until the server stops.

        Raises:
            Unavailable: that is now.
        """
        await self.rpc.backend.stopping.wait()
        raise Unavailable(
            Reason.SERVER_UNAVAILABLE, "the server stops: begin the stream anew, at another one"
        )
